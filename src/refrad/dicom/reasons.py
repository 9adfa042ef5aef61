"""Reason codes of quarantined files, images and volumes, each with a sentence for the pages."""

from collections.abc import Mapping

__all__ = ["REASONS", "TREATABLE", "QuarantineError"]

REASONS: Mapping[str, str] = {
    # files and images, by stage index
    "not_dicom": "The file is not DICOM.",
    "unreadable": "The file or its header cannot be read, or it is damaged.",
    "name_not_utf8": "The name of the file or of its folder is not UTF-8.",
    "not_ct_or_mr": "The file is an image, but neither CT nor MR.",
    "no_pixels": "The file has a header but no pixels.",
    "float_pixels": "The pixels are floating-point numbers, as of a parametric map, not stored values of an image.",
    "unknown_transfer_syntax": "The pixels are compressed in a way (the transfer syntax) for which there is no decoder.",
    "frames_without_positions": "A file of several frames, of which the header gives one position or none.",
    "storage_error": "The storage failed while the file was read: the disk or the file server, not the file, is at fault.",
    "linked_folder": "A link to a folder; links between folders are not followed.",
    "beyond_limits": "Reading it crashed a worker, or took more memory or time than the config allows.",
    "secondary_capture": "A screen capture or another secondary capture.",
    "colour": "A colour image.",
    "burned_in": "Text is burned into the image, according to its header or a rule of the config.",
    "localizer": "A localizer, or a copy of an image with drawn slice positions, not a slice of a volume.",
    "mosaic": "One image holds tiles of many slices.",
    "projection": "A projection, a rendering or a curved reformat (such as a MIP), not a slice.",
    "multi_valued_rescale": "The header gives several rescale slopes or intercepts for one image.",
    "no_rescale": "A CT image without rescale slope or intercept: its values cannot be converted to Hounsfield units.",
    "not_hounsfield": "A CT image whose values are no Hounsfield units, such as an iodine map, or are given by a lookup table.",
    "no_geometry": "Position, orientation or pixel spacing is missing or invalid.",
    "series_in_many_studies": "The files of one series belong to several studies: a de-identification gave each file a study of its own.",
    "frames_of_reference_differ": "The images of one series have a frame of reference each, and their positions are no regular grid.",
    "duplicate": "Another image of the series shows the same position, or another volume has the same voxels and affine; one is kept.",
    "excluded": "Named by the list index.exclude: the patient, study, series, modality, body part or date.",
    "not_chosen": "Not named by the list index.include, which says what is used.",
    # NIfTI files, by stage index
    "not_named": "The pattern of deliveries.volumes does not match the file's path, or its name is none of BIDS.",
    "no_key": "The table of volumes has no path, patient, study or series for the file.",
    "wrong_entry": "The row of the table of volumes cannot be read, or has a split, number, affine or rescale that is none.",
    "listed_twice": "Several rows of the table of volumes name the file.",
    "outside_folder": "The table of volumes names a path outside of the folder of the delivery.",
    "no_modality": "Neither table, pattern nor deliveries.volumes.modality says whether the file is CT or MR.",
    "bids_derivative": "A file in derivatives or sourcedata of a BIDS dataset.",
    "bids_kind": "An image of a BIDS dataset that is no anatomical image, such as a time series, a map or a phase.",
    "same_keys": "Another file of the delivery has the same patient, study and series.",
    "split_differs": "The patient's files have several official splits.",
    # content of NIfTI files, by stages index and volumes
    "missing_file": "The file that the table of volumes names is not in the folder of the delivery.",
    "not_nifti": "The file is no NIfTI image of version 1 or 2.",
    "not_3d": "The NIfTI file has fewer or more axes than three, such as a series in time.",
    "no_grey_values": "The voxels of the NIfTI file are colours, vectors or complex numbers.",
    "affines_differ": "The sform of the NIfTI header contradicts the qform, by over 0.4 voxels, or the voxel sizes, by over 20 %.",
    "sheared_in_plane": "Rows and columns of the NIfTI file are not at a right angle.",
    "not_finite": "The NIfTI file holds values that are no finite numbers.",
    "constant_volume": "All voxels of the NIfTI file have one value.",
    # volumes, by stage volumes
    "orientation_inconsistent": "The slices of the volume are not parallel.",
    "four_dimensional": "Most positions are shown more than once, and no known attribute distinguishes the repetitions.",
    "gantry_tilt": "The slices are stacked at a slant, as with a tilted gantry.",
    "slice_missing": "A gap as wide as several slices: at least one slice is missing.",
    "spacing_irregular": "The distances between the slices differ.",
    "too_few_slices": "The volume has fewer slices than volumes.minimum_slices.",
    "unreadable_pixels": "The pixels of a slice cannot be decoded.",
    # volumes, by stage copies
    "altered_copy": "A volume of another study, which is kept, shows the same voxels, compressed, rescaled or cropped.",
}


# Reasons of images that the site may choose to keep
TREATABLE = frozenset({"projection", "burned_in"})


class QuarantineError(ValueError):
    """A volume cannot be used, for `reason`, one of `REASONS`; `path` is that of the file for which the storage failed."""

    def __init__(self, reason: str, path: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.path = reason, path

    def __str__(self) -> str:
        return REASONS[self.reason]
