import json
import warnings

import highdicom as hd
import nibabel as nib
import numpy as np
import polars as pl
import pydicom
import pytest
import yaml
from tests.factories.dataset import describe_dataset, write_shards
from tests.factories.images import image_row
from tests.factories.oblique_series import (
    AFFINE,
    classes_of_series,
    frames_of_series,
    images_of_series,
    read_with_dcmqi,
    slices_of,
)

from refrad.cli import main
from refrad.reporting.palette import class_colour
from refrad.segmentation.dicom_seg import dicom_segmentation, nifti_of_classes
from refrad.segmentation.labels import resample_labels
from refrad.segmentation.structured_report import GroundedPhrase, GroundedSentence, structured_report
from refrad.stages import index, masks, volumes
from refrad.workflow.fingerprint import Fingerprint


@pytest.fixture
def classes():
    return classes_of_series()


@pytest.fixture
def images():
    return images_of_series()


def saved(segmentation, tmp_path):
    path = tmp_path / "segmentation.dcm"
    segmentation.save_as(path)
    return path


def test_segmentation_has_the_same_labels_in_another_reader(classes, images, schema, tmp_path):
    path = saved(dicom_segmentation(classes, AFFINE, slices_of(images), schema, "totalsegmentator fast"), tmp_path)
    labels, affine = read_with_dcmqi(path, tmp_path / "read")
    assert np.array_equal(resample_labels(labels, affine, AFFINE, classes.shape), classes)
    plain = pydicom.dcmread(path)
    assert plain.SegmentationType == "LABELMAP"
    places = sorted(
        list(f.PlanePositionSequence[0].ImagePositionPatient) for f in plain.PerFrameFunctionalGroupsSequence
    )
    assert np.allclose(places, sorted(list(image.ImagePositionPatient) for image in images), atol=1e-6)
    assert plain.StudyInstanceUID == images[0].StudyInstanceUID


def test_segment_has_number_name_code_and_side_of_its_class(classes, images, schema, tmp_path):
    plain = pydicom.dcmread(saved(dicom_segmentation(classes, AFFINE, slices_of(images), schema, "x"), tmp_path))
    segments = {segment.SegmentNumber: segment for segment in plain.SegmentSequence if segment.SegmentNumber}
    assert set(segments) == {3, 5, 118}
    kidney = segments[3].SegmentedPropertyTypeCodeSequence[0]
    assert (segments[3].SegmentLabel, kidney.CodeValue) == ("left kidney", "64033007")
    assert kidney.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert "SegmentedPropertyTypeModifierCodeSequence" not in segments[5].SegmentedPropertyTypeCodeSequence[0]


def test_images_without_identifiers_cannot_be_referred_to(classes, images, schema):
    del images[2].SOPInstanceUID
    with pytest.raises(ValueError, match="1 of 5 images lack SOPInstanceUID"):
        dicom_segmentation(classes, AFFINE, slices_of(images), schema, "x")


def test_invalid_headers_are_refused_without_quoting_them(classes, images, schema):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images[0].PatientSex = "Mustermann^Max"
    with pytest.raises(ValueError, match="not valid in the images: PatientSex;") as refused:
        dicom_segmentation(classes, AFFINE, slices_of(images), schema, "x")
    assert "Mustermann" not in str(refused.value)


TYPE_2 = ["PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"]
TYPE_2 += ["AccessionNumber", "ReferringPhysicianName"]


@pytest.mark.parametrize("keyword", [*TYPE_2, "all of them"])
def test_headers_that_may_be_empty_may_be_absent(classes, images, schema, tmp_path, keyword):
    for image in images:
        for absent in TYPE_2 if keyword == "all of them" else [keyword]:
            delattr(image, absent)
    plain = pydicom.dcmread(saved(dicom_segmentation(classes, AFFINE, slices_of(images), schema, "x"), tmp_path))
    assert all(absent in plain and not plain[absent].value for absent in TYPE_2 if absent not in images[0])
    assert keyword == "all of them" or all(
        keyword not in image for image in images
    )  # the archive's own stay as they are


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Rows"])
def test_message_names_the_missing_keyword(classes, images, schema, keyword):
    for image in images:
        delattr(image, keyword)
    with pytest.raises(ValueError, match=rf"\b{keyword}\b"):
        dicom_segmentation(classes, AFFINE, slices_of(images), schema, "x")


@pytest.mark.parametrize("references", [None, "1.2.{}", "1.2.6"], ids=["none", "one each", "the same"])
def test_images_without_a_common_frame_of_reference_get_one(classes, images, schema, references):
    for number, image in enumerate(images):
        image.FrameOfReferenceUID = references and references.format(number)
    segmentations = [
        dicom_segmentation(classes, AFFINE, slices_of(images), schema, "x", kind=kind)
        for kind in ("labelmap", "binary")
    ]
    sentence = GroundedSentence("Leber.", 1, [GroundedPhrase("Leber", 5, 1.0)])
    structured_report([sentence], "de", segmentations[0], AFFINE, slices_of(images), schema)
    frames = {segmentation.FrameOfReferenceUID for segmentation in segmentations}
    (frame,) = frames
    assert frame == "1.2.6" if references == "1.2.6" else frame.startswith("1.2.826.")
    assert images[0].FrameOfReferenceUID == (references and references.format(0))  # the archive's own stay as they are
    for segmentation, kind in zip(segmentations, ("labelmap", "binary"), strict=True):
        assert np.array_equal(labels_in_place(segmentation, AFFINE, classes.shape, schema), classes), kind


@pytest.mark.parametrize("kind", ["labelmap", "binary"])
def test_slices_of_a_tilted_gantry_keep_their_places(classes, images, schema, kind):
    tilted = AFFINE.copy()
    tilted[:3, 2] += 1.2 * tilted[:3, 1]
    for number, image in enumerate(images):
        image.ImagePositionPatient = list(np.diag([-1, -1, 1]) @ (tilted[:3, 3] + number * tilted[:3, 2]))
    segmentation = dicom_segmentation(classes, tilted, slices_of(images), schema, "x", kind=kind)
    assert np.array_equal(labels_in_place(segmentation, tilted, classes.shape, schema), classes)
    (measures,) = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert float(measures.SliceThickness) == pytest.approx(5) and list(measures.PixelSpacing) == [2.0, 1.5]
    places = {image.SOPInstanceUID: image.ImagePositionPatient for image in images}
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        assert np.allclose(group.PlanePositionSequence[0].ImagePositionPatient, places[source.ReferencedSOPInstanceUID])


@pytest.mark.parametrize("kind", ["labelmap", "binary"])
def test_segmentation_of_frames_refers_to_them(classes, schema, kind):
    slices = frames_of_series()
    segmentation = dicom_segmentation(classes, AFFINE, slices, schema, "x", kind=kind)
    assert np.array_equal(labels_in_place(segmentation, AFFINE, classes.shape, schema), classes)
    inverse = np.linalg.inv(AFFINE) @ np.diag([-1, -1, 1, 1])
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        index = round((inverse @ [*group.PlanePositionSequence[0].ImagePositionPatient, 1])[2])
        assert source.ReferencedFrameNumber == slices[index].frame + 1


def test_frames_of_several_files_are_refused(classes, schema):
    slices = frames_of_series() | {4: frames_of_series()[4]}
    with pytest.raises(ValueError, match="frames of several files"):
        dicom_segmentation(classes, AFFINE, slices, schema, "x")


def test_orientations_that_differ_by_rounding_are_one(classes, images, schema):
    images[3].ImageOrientationPatient = [1, 0, 0, 0, 0.80001, -0.6]
    segmentation = dicom_segmentation(classes, AFFINE, slices_of(images), schema, "x")
    assert np.array_equal(labels_in_place(segmentation, AFFINE, classes.shape, schema), classes)


def test_slice_without_an_image_is_segmented_too(classes, images, schema):
    slices = slices_of(images)
    del slices[2]
    segmentation = dicom_segmentation(classes, AFFINE, slices, schema, "x")
    assert np.array_equal(labels_in_place(segmentation, AFFINE, classes.shape, schema), classes)


def labels_in_place(segmentation, affine, shape, schema):
    """Class ids [column, row, slice] of a segmentation, each frame in the slice whose position it has."""
    numbers = {segment.SegmentNumber: segment.SegmentLabel for segment in segmentation.SegmentSequence}
    names = {entry.english[:64]: entry.id for entry in schema.classes}
    labels, inverse = np.zeros(shape, np.uint8), np.linalg.inv(affine) @ np.diag([-1, -1, 1, 1])
    for frame, group in zip(segmentation.pixel_array, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        position = inverse @ [*map(float, group.PlanePositionSequence[0].ImagePositionPatient), 1]
        assert np.allclose(position[:2], 0, atol=1e-4)
        part = labels[:, :, round(position[2])]
        if segmentation.SegmentationType == "BINARY":
            number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            part[frame.T > 0] = names[numbers[number]]
        else:
            part[:] = frame.T
    return labels


def test_cyst_is_a_morphologically_abnormal_structure(classes, images, schema):
    classes[classes == 3] = schema.by_name["kidney_cyst_left"].id
    segmentation = dicom_segmentation(classes, AFFINE, slices_of(images), schema, "x", kind="binary")
    categories = {
        s.SegmentLabel: s.SegmentedPropertyCategoryCodeSequence[0].CodeValue for s in segmentation.SegmentSequence
    }
    assert categories["left kidney cyst"] == "49755003" and categories["liver"] == "91723000"


def test_binary_segmentation_has_the_same_labels(classes, images, schema, tmp_path):
    path = saved(dicom_segmentation(classes, AFFINE, slices_of(images), schema, "x", kind="binary"), tmp_path)
    plain = pydicom.dcmread(path)
    assert plain.SegmentationType == "BINARY" and plain.file_meta.MediaStorageSOPClassUID.endswith(".66.4")
    labels = {segment.SegmentNumber: segment.SegmentLabel for segment in plain.SegmentSequence}
    assert labels == {1: "left kidney", 2: "liver", 3: schema.by_id[118].english}
    ours, affine = read_with_dcmqi(path, tmp_path / "read")
    assert np.array_equal(np.array([0, 3, 5, 118])[resample_labels(ours, affine, AFFINE, classes.shape)], classes)


@pytest.mark.parametrize("kind", ["labelmap", "binary"])
def test_segments_have_the_colours_of_the_pages(classes, images, schema, tmp_path, kind):
    colours = {class_id: class_colour(class_id) for class_id in (3, 5, 118)}
    path = saved(
        dicom_segmentation(classes, AFFINE, slices_of(images), schema, "x", kind=kind, colours=colours), tmp_path
    )
    read_with_dcmqi(path, tmp_path / "read")
    (segments,) = json.loads((tmp_path / "read" / "meta.json").read_text())["segmentAttributes"]
    read = {segment["SegmentLabel"]: segment["recommendedDisplayRGBValue"] for segment in segments}
    for class_id, colour in colours.items():
        assert np.abs(np.subtract(read[schema.by_id[class_id].english], colour)).max() <= 1


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO 2022 IR 100", ["", "ISO 2022 IR 100"], "ISO_IR 192"], ids=str)
def test_name_is_kept_in_any_character_set(classes, images, schema, tmp_path, charset):
    for image in images:
        image.SpecificCharacterSet, image.PatientName = charset, "Grün^Jörg"
    segmentation = dicom_segmentation(classes, AFFINE, slices_of(images), schema, "x")
    assert str(pydicom.dcmread(saved(segmentation, tmp_path)).PatientName) == "Grün^Jörg"
    text = GroundedSentence("Leber vergrößert.", 1, [GroundedPhrase("Leber", 5, 1.0)])
    report = structured_report([text], "de", segmentation, AFFINE, slices_of(images), schema)
    assert str(pydicom.dcmread(saved(report, tmp_path)).PatientName) == "Grün^Jörg"


def test_nifti_files_of_classes_sum_to_the_whole(classes, schema):
    files = dict(nifti_of_classes(classes, AFFINE, schema))
    assert set(files) == {"liver", "kidney_left", "lung_left"}
    whole = sum(schema.by_name[name].id * np.asarray(image.dataobj) for name, image in files.items())
    assert np.array_equal(whole, classes)
    assert all(np.allclose(image.affine, AFFINE) for image in files.values())


def test_export_masks_writes_one_file_for_each_class(study, tmp_path):
    study.structures()
    arguments = ["--masks", study.path("masks"), "--mask-store", study.mask_store, "--schema", study.schema]
    assert main(["export-masks", *map(str, arguments), "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out" / "v").iterdir()) == [
        *("kidney_left.nii.gz", "kidney_right.nii.gz", "liver.nii.gz")
    ]
    liver = np.asarray(nib.load(tmp_path / "out" / "v" / "liver.nii.gz").dataobj)
    assert np.array_equal(liver, study.labels == 5)
    assert main(["export-masks", *map(str, arguments), "--out", str(tmp_path), "--volume", "other"]) == 1


def test_export_masks_round_trips_a_real_delivery(shared, root, tmp_path):
    """Real CT of a liver and the segmentation that came with it: in through all stages, and out again."""
    delivered, schema = tmp_path / "given", root / "workflow" / "anatomy" / "classes.yaml"
    theirs, affine = read_with_dcmqi(shared / "dicom-ct" / "dcmqi_ct_3slice_seg" / "liver.dcm", delivered)
    assert (theirs > 0).sum() > 10_000
    nib.save(nib.Nifti1Image(np.where(theirs > 0, 5, 0).astype(np.uint8), affine), delivered / "mask.nii.gz")
    (delivered / "masks.csv").write_text("dicom,mask\n.,mask.nii.gz\n")
    dicom, store, mask_store = shared / "dicom-ct" / "dcmqi_ct_3slice", tmp_path / "volumes", tmp_path / "masks"
    tables = {name: tmp_path / f"{name}.parquet" for name in ("files", "instances", "volumes", "slices", "masks")}
    options = yaml.safe_load((root / "config.yaml").read_text())

    def fingerprint(stage, **changes):
        return Fingerprint(stage, 1, options[stage] | changes, {})

    inputs = {name: tables[name] for name in ("files", "instances")} | {"dicom": dicom}
    metrics = {"metrics": tmp_path / "metrics.json"}
    key = tmp_path / "key"
    index.run(**inputs, **metrics, key=key, reports=tmp_path, shards=1, fingerprint=fingerprint("index"))
    of_volumes = {name: tables[name] for name in ("volumes", "slices")} | {"store": store, "key": key, "shard": 0}
    volumes.run(**inputs, **metrics, **of_volumes, fingerprint=fingerprint("volumes", minimum_slices=3))
    masks.run(
        volumes=tables["volumes"],
        volume_store=store,
        store=mask_store,
        masks=tables["masks"],
        precomputed=delivered,
        instances=tables["instances"],
        files=tables["files"],
        shard=0,
        fingerprint=fingerprint("masks", segmenter="precomputed"),
        **metrics,
    )
    instance = captioned_slice(tables, mask_store, tmp_path / "dataset")
    command = {"--masks": tables["masks"], "--mask-store": mask_store, "--schema": schema, "--out": tmp_path / "out"}
    command |= {
        "--dicom": dicom,
        "--slices": tables["slices"],
        "--instances": tables["instances"],
        "--files": tables["files"],
        "--images": tmp_path / "dataset",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # highdicom's tell the patient's name
        assert main(["export-masks", *(str(word) for option in command.items() for word in option)]) == 0
    paths = {path.name.split(".", 1)[1]: path for path in (tmp_path / "out").iterdir()}
    assert set(paths) == {"dcm", "de.sr.dcm"}
    path = paths["dcm"]
    ours, its_affine = read_with_dcmqi(path, tmp_path / "read")
    assert np.array_equal(resample_labels(ours, its_affine, affine, theirs.shape), np.where(theirs > 0, 5, 0))
    plain = pydicom.dcmread(path)
    source = [pydicom.dcmread(path, stop_before_pixels=True) for path in dicom.iterdir()]
    assert plain.StudyInstanceUID == source[0].StudyInstanceUID
    assert plain.FrameOfReferenceUID == source[0].FrameOfReferenceUID
    referred = plain.ReferencedSeriesSequence[0]
    assert referred.SeriesInstanceUID == source[0].SeriesInstanceUID
    (group,) = hd.sr.srread(
        paths["de.sr.dcm"]
    ).content.get_planar_roi_measurement_groups()  # of a phrase that is there twice
    frame, image = (item.ReferencedSOPSequence[0] for item in group.referenced_segmentation_frame)
    assert frame.ReferencedSOPInstanceUID == plain.SOPInstanceUID
    (position,) = [
        item.ImagePositionPatient for item in source if item.SOPInstanceUID == image.ReferencedSOPInstanceUID
    ]
    groups = plain.PerFrameFunctionalGroupsSequence[frame.ReferencedFrameNumber - 1]
    assert np.allclose(groups.PlanePositionSequence[0].ImagePositionPatient, position, atol=1e-3)
    table = pl.read_parquet(tables["instances"]).join(
        pl.read_parquet(tables["files"]).select("file", "path"), on="file"
    )
    path = table.filter(pl.col("instance") == instance)["path"].item()
    assert pydicom.dcmread(dicom / path).SOPInstanceUID == image.ReferencedSOPInstanceUID
    assert {reference.ReferencedSOPInstanceUID for reference in referred.ReferencedInstanceSequence} == {
        image.SOPInstanceUID for image in source
    }


def captioned_slice(tables, mask_store, folder):
    """Write a dataset of one slice of the liver with a German sentence, and return the pseudonym of its image."""
    (mask,) = pl.read_parquet(tables["masks"]).to_dicts()
    labels = np.asarray(nib.load(mask_store / mask["file"]).dataobj)
    index = int((labels == 5).sum((0, 1)).argmax())
    instance = pl.read_parquet(tables["slices"]).filter(pl.col("index") == index)["instance"].item()
    row = image_row(0, "train", np.random.default_rng(0)) | {
        "image_id": instance,
        "volume": mask["volume"],
        "index": index,
    }
    (caption,) = row["captions"]
    row["captions"] = [
        caption | {"language": "de", "text": "Leber und Leber.", "entities": caption["entities"][:1] * 2}
    ]
    describe_dataset(folder, write_shards(folder, {"a/0": [row]}))
    return instance


def test_segmentations_need_the_tables_that_find_their_images(study, tmp_path, capsys):
    study.structures()
    arguments = ["--masks", study.path("masks"), "--mask-store", study.mask_store, "--schema", study.schema]
    arguments += ["--out", tmp_path / "out", "--dicom", tmp_path]
    assert main(["export-masks", *map(str, arguments)]) == 1
    assert "--dicom needs --instances and --files" in capsys.readouterr().err
    assert main(["export-masks", *map(str, arguments), "--instances", "i", "--files", "f"]) == 1
    assert "--dicom needs --slices" in capsys.readouterr().err
    assert main(["export-masks", *map(str, arguments[:-2]), "--images", str(tmp_path)]) == 1
    assert "--images needs --dicom" in capsys.readouterr().err
