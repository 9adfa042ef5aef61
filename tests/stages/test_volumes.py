"""Stages index and volumes together: series of DICOM files become volumes, voxel by voxel, or are quarantined."""

import json
import subprocess
import tempfile
from pathlib import Path

import dcm2niix
import nibabel as nib
import numpy as np
import polars as pl
import pydicom
import pytest
import SimpleITK
from hypothesis import assume, given, settings
from nibabel.orientations import apply_orientation, io_orientation
from tests.factories import RAS, fingerprint, instance_of, make_volumes, only_volume, stacks
from tests.factories.dicom import KEY
from tests.factories.nifti import write_nifti

from refrad.config import VolumeFiles
from refrad.core.contracts import InstanceTable, SliceTable, VolumeTable
from refrad.core.tables import frame_of, read_table, write_table
from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume
from refrad.nifti.volume_list import read_entries
from refrad.privacy.pseudonyms import FileRow, FileTable, Pseudonyms
from refrad.stages import volumes


def can_be_written(paths):
    """No path is both a file and a folder."""
    return not {parent.as_posix() for path in paths for parent in Path(path).parents} & set(paths)


@settings(max_examples=20, deadline=None)
@given(stack=stacks())
def test_slices_are_at_their_dicom_position(stack, write_slice):
    assume(can_be_written(stack.paths))
    along_row, along_column, normal = stack.turn
    count, rows, columns = stack.pixels.shape
    step = stack.step * (normal + stack.lean * along_column)
    positions = [np.round(np.array(stack.first) + k * step, 6) for k in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        for path, k in zip(stack.paths, stack.order, strict=True):
            slope, intercept = stack.scales[k] if stack.modality == "CT" else (1, 0)
            write_slice(
                Path(folder, "dicom", path),
                stack.pixels[k],
                Modality=stack.modality,
                SOPInstanceUID=f"1.2.3.{k + 1}",
                ImagePositionPatient=positions[k].tolist(),
                ImageOrientationPatient=np.round([*along_row, *along_column], 9).tolist(),
                PixelSpacing=stack.spacing,
                RescaleSlope=slope,
                RescaleIntercept=intercept,
                InstanceNumber=int(stack.order[k]),
            )
        outputs = make_volumes(Path(folder, "dicom"), Path(folder))
        row = outputs.volumes.row(0, named=True)
        assert row["reason"] is None
        assert row["treated"] == ("gantry_tilt" if stack.lean else None)
        assert row["spacing_z"] == pytest.approx(stack.step, abs=1e-4)
        volume, affine = read_volume(outputs.store / row["file"])
    assert volume.shape == (columns, rows, count)
    assert volume.dtype == np.int16
    position = {r["instance"]: r for r in outputs.slices.iter_rows(named=True)}
    for k in range(count):
        its = position[outputs.pseudonyms.instance(f"1.2.3.{k + 1}")]
        slope, intercept = stack.scales[k] if stack.modality == "CT" else (1, 0)
        np.testing.assert_array_equal(image_at(volume, its["index"]), np.rint(stack.pixels[k] * slope + intercept))
        assert its["instance_number"] == stack.order[k]
        for r, c in [(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)]:
            in_dicom = positions[k] + c * stack.spacing[1] * along_row + r * stack.spacing[0] * along_column
            in_volume = affine @ [c, r, its["index"], 1]
            np.testing.assert_allclose(in_volume[:3], RAS @ in_dicom, atol=2e-3)


def stack_of(write_slice, folder, places, **attributes):
    """One slice a place, along z; its pixels all say which."""
    for number, z in enumerate(places):
        pixels = np.full((4, 5), number, np.int16)
        write_slice(folder / f"{number:03}", pixels, **{"ImagePositionPatient": [0, 0, z], **attributes})


def test_real_ct_series_equals_simpleitk(shared, tmp_path):
    folder = shared / "dicom-ct" / "totalseg_example_ct_dicom"
    outputs = make_volumes(folder, tmp_path)
    row = only_volume(outputs)
    volume, affine = read_volume(outputs.store / row["file"])
    oracle = SimpleITK.ImageSeriesReader()
    oracle.SetFileNames(sorted(map(str, folder.iterdir()), reverse=True))  # names count from the head downwards
    image = oracle.Execute()
    np.testing.assert_array_equal(volume.T, SimpleITK.GetArrayViewFromImage(image))
    for corner in [(0, 0, 0), (511, 0, 0), (0, 511, 19), (511, 511, 19)]:
        theirs = RAS @ image.TransformIndexToPhysicalPoint(corner)
        np.testing.assert_allclose((affine @ [*corner, 1])[:3], theirs, atol=1e-3)
    assert (row["columns"], row["rows"], row["slices"]) == (512, 512, 20)
    assert (row["spacing_x"], row["spacing_y"], row["spacing_z"]) == (0.9765625, 0.9765625, 2.0)
    assert (row["plane"], row["modality"], row["contrast"], row["body_part"]) == ("axial", "CT", True, None)
    assert len(outputs.slices) == 20


def test_real_sagittal_mr_series_equals_simpleitk(shared, tmp_path):
    folder = shared / "dicom-mr" / "dicom2nifti_siemens_sagittal"
    outputs = make_volumes(folder, tmp_path)
    row = only_volume(outputs)
    assert row["plane"] == "sagittal"
    volume, affine = read_volume(outputs.store / row["file"])
    for path in folder.iterdir():
        image = SimpleITK.ReadImage(str(path))
        origin = RAS @ image.GetOrigin()
        index = round(float((np.linalg.inv(affine) @ [*origin, 1])[2]))
        np.testing.assert_array_equal(image_at(volume, index), SimpleITK.GetArrayFromImage(image)[0])


def test_enhanced_multi_frame_file_is_a_volume(shared, tmp_path):
    outputs = make_volumes(shared / "dicom-mr" / "dicom2nifti_philips_enhanced_T1", tmp_path)
    row = only_volume(outputs)
    assert (row["reason"], row["slices"], row["plane"]) == (None, 8, "sagittal")
    assert outputs.slices["index"].to_list() == list(range(8))


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("dicom-ct/dicom2nifti_gantrytilt", "gantry_tilt"),
        ("dicom-ct/dcm_qa_ct_philips_tilt_part", "gantry_tilt"),
        ("dicom-ct/dicom2nifti_sliceincrement_gap", "slice_missing"),
        ("dicom-ct/dcmqi_ct_3slice", "too_few_slices"),
        ("dicom-mr/dicom2nifti_two_slices_only", "too_few_slices"),
        ("dicom-mr/pydicom_small", "too_few_slices"),
    ],
)
def test_real_series_that_are_no_volume_have_a_reason(folder, reason, shared, tmp_path):
    outputs = make_volumes(shared / folder, tmp_path, minimum_slices=4, gantry_tilt="quarantine")
    row = only_volume(outputs)
    assert row["reason"] == reason
    assert row["digest"] is None
    assert row["file"] is None
    assert len(outputs.slices) == 0
    assert not outputs.store.exists()
    assert outputs.metrics["flow"] == {"taken": 1, "used": 0, "aside": {reason: 1}}


@pytest.mark.parametrize("delivery", ["dicom-ct", "dicom-mr"])
def test_real_volumes_are_accepted_or_quarantined(delivery, shared, tmp_path):
    outputs = make_volumes(shared / delivery, tmp_path)
    flow = outputs.metrics["flow"]
    accepted = outputs.volumes.filter(outputs.volumes["reason"].is_null())
    assert flow["used"] == len(accepted) >= 3
    assert flow["taken"] == len(outputs.volumes) == flow["used"] + sum(flow["aside"].values())
    assert outputs.metrics["made"]["slices"] == len(outputs.slices) == accepted["slices"].sum()
    for row in accepted.to_dicts():
        volume, _ = read_volume(outputs.store / row["file"])
        assert volume.shape == (row["columns"], row["rows"], row["slices"])


def test_tilted_series_has_its_slices_at_their_position(shared, tmp_path):
    """SimpleITK reads each slice with its own place; as a series it would stack them at a right angle."""
    folder = shared / "dicom-ct" / "dcm_qa_ct_philips_tilt_part"
    outputs = make_volumes(folder, tmp_path)
    row = only_volume(outputs)
    assert (row["reason"], row["treated"]) == (None, "gantry_tilt")
    assert row["tilt"] == pytest.approx(18.5, abs=0.01)
    assert row["spacing_z"] == pytest.approx(2.5 * np.cos(np.radians(18.5)), abs=0.01)
    volume, affine = read_volume(outputs.store / row["file"])
    for path in folder.iterdir():
        image = SimpleITK.ReadImage(str(path))
        index = outputs.slices.row(by_predicate=pl.col("instance") == instance_of(outputs, path), named=True)["index"]
        np.testing.assert_array_equal(image_at(volume, index), SimpleITK.GetArrayFromImage(image)[0])
        for corner in [(0, 0), (511, 0), (0, 511)]:
            theirs = RAS @ image.TransformIndexToPhysicalPoint((*corner, 0))
            np.testing.assert_allclose((affine @ [*corner, index, 1])[:3], theirs, atol=2e-3)
    header = nib.load(outputs.store / row["file"]).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)  # a qform cannot say it: none is better


@pytest.mark.parametrize(
    "folder",
    [
        "dicom-ct/totalseg_example_ct_dicom",
        "dicom-ct/dcm_qa_ct_philips_s2010_part",
        "dicom-mr/vs_seg_001_t1_axial_part",
        "dicom-mr/dicom2nifti_siemens_sagittal",
        "dicom-mr/dicom2nifti_nonisotropic",
        "dicom-mr/dicom2nifti_philips_enhanced_T1",
        "dicom-mr/dicom2nifti_compressed_jpegls",
        "dicom-mr/dicom2nifti_compressed_rle",
    ],
)
def test_real_series_equal_dcm2niix(folder, shared, tmp_path):
    """Voxel by voxel at the same place of the patient; dcm2niix flips rows, so places are compared, not indices.

    Left out: tilted series, which dcm2niix makes upright; SimpleITK is their oracle above.
    """
    outputs = make_volumes(shared / folder, tmp_path)
    row = only_volume(outputs)
    volume, affine = read_volume(outputs.store / row["file"])
    (tmp_path / "theirs").mkdir()
    command = [dcm2niix.bin, "-z", "n", "-b", "n", "-o", tmp_path / "theirs", shared / folder]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = (tmp_path / "theirs").glob("*.nii")
    assert_equal_to_nifti(volume, affine, row["modality"], nib.load(file))


REFERENCES = {
    "dicom-ct/totalseg_example_ct_dicom": "dicom-ct/totalseg_example_seg_dicom",
    "dicom-mr/dicom2nifti_compressed_j2k": "dicom-mr/dicom2nifti_compressed_j2k_ground_truth",
    "dicom-mr/dicom2nifti_compressed_jpeg": "dicom-mr/dicom2nifti_compressed_j2k_ground_truth",
    "dicom-mr/dicom2nifti_compressed_jpegls": "dicom-mr/dicom2nifti_compressed_j2k_ground_truth",
    "dicom-mr/dicom2nifti_compressed_rle": "dicom-mr/dicom2nifti_compressed_j2k_ground_truth",
    "dicom-mr/dicom2nifti_nonisotropic": "dicom-mr/dicom2nifti_nonisotropic_ground_truth",
    "dicom-mr/dicom2nifti_philips_enhanced_T1": "dicom-mr/dicom2nifti_philips_enhanced_T1_ground_truth",
    "dicom-mr/dicom2nifti_siemens_sagittal": "dicom-mr/dicom2nifti_siemens_sagittal_ground_truth",
}


def test_every_reference_nifti_is_compared(shared):
    files = {path.relative_to(shared).as_posix() for path in shared.glob("dicom-*/*.nii.gz")}
    assert files == {f"{reference}.nii.gz" for reference in REFERENCES.values()}


@pytest.mark.parametrize("folder", REFERENCES)
def test_real_series_equal_their_reference_nifti(folder, shared, tmp_path):
    outputs = make_volumes(shared / folder, tmp_path)
    row = only_volume(outputs)
    volume, affine = read_volume(outputs.store / row["file"])
    reference = nib.load(shared / f"{REFERENCES[folder]}.nii.gz")
    if row["modality"] == "CT":  # the reference is a mask of the series
        labels = on_grid(volume, affine, reference)
        means = [volume[labels == organ].mean() for organ in (1, 5)]  # spleen and liver: soft tissue after contrast
        assert np.std(volume[labels == 5]) < 40
        assert means == pytest.approx([80, 89], abs=2)  # HU
    else:
        assert_equal_to_nifti(volume, affine, row["modality"], reference)


def on_grid(volume, affine, nifti):
    """The stored values of a NIfTI in the order of the axes of `volume`, whose voxels lie at the same places."""
    to_nifti = np.linalg.inv(nifti.affine) @ affine
    ends = np.array([[0, 0, 0, 1], [*np.array(volume.shape) - 1, 1]]) @ to_nifti.T
    stored = np.squeeze(np.asanyarray(nifti.dataobj.get_unscaled()))
    np.testing.assert_allclose(np.sort(ends[:, :3], axis=0), [[0] * 3, np.array(stored.shape) - 1], atol=0.02)  # voxels
    stored = apply_orientation(stored, io_orientation(np.linalg.inv(affine) @ nifti.affine))
    assert stored.shape == volume.shape
    return stored


def assert_equal_to_nifti(volume, affine, modality, nifti):
    stored = on_grid(volume, affine, nifti)
    if modality == "CT":
        stored = np.rint(stored * nifti.dataobj.slope + nifti.dataobj.inter)
    if stored.dtype.kind == "f" and modality == "MR":  # slices of different scales
        assert np.corrcoef(stored.ravel(), volume.ravel())[0, 1] > 0.99999
    else:
        np.testing.assert_array_equal(volume, stored)


def test_index_options_decide_on_repetitions_and_duplicates(write_slice, tmp_path):
    def series(name, uid, **attributes):
        stack_of(write_slice, tmp_path / "d" / name, range(5), SeriesInstanceUID=uid, **attributes)

    for phase in range(2):
        series(f"phase{phase}", "1.1", TemporalPositionIdentifier=phase, RescaleIntercept=phase)
    series("twice", "1.2")
    write_slice(tmp_path / "d" / "twice" / "again", np.ones((4, 5), np.int16), SeriesInstanceUID="1.2")
    series("text", "1.3", BurnedInAnnotation="YES")
    series("clean", "1.4", BurnedInAnnotation="NO")
    series("sheet", "1.5", SeriesDescription="Patient Protocol")
    series("mip", "1.6", ImageType=["DERIVED", "PRIMARY", "MIP"])

    rules = {"burned_in_rules": [{"SeriesDescription": "patient protocol", "Modality": "^CT$"}]}
    first = make_volumes(tmp_path / "d", tmp_path / "first", index_options=rules)
    assert first.metrics["flow"] == {"taken": 4, "used": 4, "aside": {}}
    assert first.volumes["burned_in"].to_list().count(False) == 1
    assert first.index["flow"]["aside"] == {"duplicate": 1, "burned_in": 10, "projection": 5}

    opposite = {"duplicates": "quarantine", "repetitions": "quarantine", "projections": "keep", "burned_in": "keep"}
    second = make_volumes(tmp_path / "d", tmp_path / "second", index_options=rules | opposite)
    assert second.index["flow"]["aside"] == {}
    assert second.metrics["flow"] == {"taken": 6, "used": 4, "aside": {"four_dimensional": 2}}
    assert sorted(map(str, second.volumes["burned_in"])) == ["False", "None", "None", "None", "True", "True"]


def test_mr_localizer_is_recognised_by_its_name(write_slice, tmp_path):
    planes = {"axial": [1, 0, 0, 0, 1, 0], "sagittal": [0, 1, 0, 0, 0, -1], "coronal": [1, 0, 0, 0, 0, -1]}
    axes = {"axial": 2, "sagittal": 0, "coronal": 1}
    for plane, orientation in planes.items():
        for k in range(7):
            write_slice(
                tmp_path / "d" / plane / f"{k}",
                np.full((4, 5), k, np.int16),
                Modality="MR",
                SeriesDescription="Localizer Knie",
                ImageOrientationPatient=orientation,
                ImagePositionPatient=np.roll([10 * k, 0, 0], axes[plane]).tolist(),
            )
    after = {"Modality": "MR", "SeriesInstanceUID": "1.9", "SeriesDescription": "T2 nach Localizer"}
    stack_of(write_slice, tmp_path / "d" / "after", range(7), **after)
    outputs = make_volumes(tmp_path / "d", tmp_path)
    assert outputs.index["flow"]["aside"] == {"localizer": 21}
    assert only_volume(outputs)["slices"] == 7
    tables = str(outputs.volumes.to_dicts()) + json.dumps(outputs.index)
    assert "Knie" not in tables and "nach" not in tables


def test_mosaic_is_recognised_by_its_number_of_tiles(tmp_path, write_slice):
    stack_of(write_slice, tmp_path / "d", range(7), Modality="MR")
    for path in (tmp_path / "d").iterdir():
        mosaic = pydicom.dcmread(path)
        mosaic.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 16)
        mosaic.save_as(path)
    assert make_volumes(tmp_path / "d", tmp_path).index["flow"]["aside"] == {"mosaic": 7}


def test_missing_slice_is_quarantined(write_slice, tmp_path):
    stack_of(write_slice, tmp_path / "d", [0, 2, 4, 8, 10])
    assert only_volume(make_volumes(tmp_path / "d", tmp_path))["reason"] == "slice_missing"


def test_grid_of_a_frame_of_reference_for_each_file_is_in_none(write_slice, tmp_path):
    for series, (places, frame) in enumerate(
        [(range(6), "1.5.{}"), (range(10, 16), "1.6"), ([20, 21, 22, 24, 25, 26], "1.7.{}")]
    ):
        for number, z in enumerate(places):
            uids = {
                "SOPInstanceUID": f"1.4.{z}",
                "FrameOfReferenceUID": frame.format(z),
                "SeriesInstanceUID": f"1.{series}",
            }
            write_slice(
                tmp_path / "d" / f"{z:02}",
                np.full((4, 5), z, np.int16),
                ImagePositionPatient=[0, 0, z],
                InstanceNumber=number,
                **uids,
            )
    outputs = make_volumes(tmp_path / "d", tmp_path)
    assert outputs.index["flow"] == {"taken": 18, "used": 12, "aside": {"frames_of_reference_differ": 6}}
    assert outputs.metrics["flow"] == {"taken": 2, "used": 2, "aside": {}}
    unknown, known = outputs.volumes.sort("frame", nulls_last=False).rows(named=True)
    assert (unknown["frame"], unknown["treated"], unknown["slices"]) == (None, "frames_of_reference_differ", 6)
    assert known["frame"] and known["treated"] is None
    assert outputs.metrics["tables"]["treated"] == {"frames_of_reference_differ": 1}


def test_undecodable_slice_quarantines_its_volume_only(write_slice, tmp_path):
    stack_of(write_slice, tmp_path / "d" / "good", range(5), SeriesInstanceUID="1.1")
    stack_of(write_slice, tmp_path / "d" / "bad", range(5), SeriesInstanceUID="1.2")
    write_slice(
        tmp_path / "d" / "bad" / "002",
        np.zeros((4, 5), np.int16),
        SeriesInstanceUID="1.2",
        ImagePositionPatient=[0, 0, 2],
        PixelData=b"\0" * 10,
    )
    outputs = make_volumes(tmp_path / "d", tmp_path)
    assert outputs.metrics["flow"] == {"taken": 2, "used": 1, "aside": {"unreadable_pixels": 1}}


def test_tables_have_allowed_header_fields_only(write_slice, tmp_path):
    stack_of(
        write_slice,
        tmp_path / "d",
        range(5),
        PatientName="Secret^Name",
        PatientBirthDate="19200101",
        PatientSex="F",
        BodyPartExamined="SECRET KNEE",
        ContrastBolusAgent="SECRETOL 300",
        InstitutionName="Secret Hospital",
        SeriesDescription="Secret",
        SeriesNumber=4,
    )
    outputs = make_volumes(tmp_path / "d", tmp_path)
    row = only_volume(outputs)
    assert (row["age"], row["sex"], row["body_part"], row["contrast"]) == (90, "F", None, True)
    assert row["series_number"] == 4
    shift = outputs.pseudonyms.date_shift(row["patient"])
    assert (row["date"] - shift).isoformat() == "2024-02-29"
    everything = str(outputs.volumes.to_dicts()) + str(outputs.slices.to_dicts()) + json.dumps(outputs.metrics)
    for secret in ["ecret", "SECRET", "1920", "2024", "P1", "1.2."]:
        assert secret not in everything


def test_shards_have_separate_patients(write_slice, tmp_path):
    for patient in range(8):
        uid = {"SeriesInstanceUID": f"1.{patient}", "StudyInstanceUID": f"2.{patient}", "PatientID": f"P{patient}"}
        stack_of(write_slice, tmp_path / "d" / str(patient), range(3), **uid)
    halves = [make_volumes(tmp_path / "d", tmp_path / str(shard), shards=2, shard=shard) for shard in range(2)]
    patients = [set(half.volumes["patient"]) for half in halves]
    assert len(patients[0] | patients[1]) == 8
    assert not patients[0] & patients[1]
    assert all(patients)


def test_empty_shard_has_empty_tables(write_slice, tmp_path):
    stack_of(write_slice, tmp_path / "d", range(3))
    empty = [make_volumes(tmp_path / "d", tmp_path / str(shard), shards=2, shard=shard) for shard in range(2)]
    assert sorted(len(half.volumes) for half in empty) == [0, 1]


def table_of(folder, paths):
    """The JSON of a section `volumes` whose table names CT files: each a patient, numbered from the feet."""
    rows = [f"{path},P{number},S,1,CT,{number},feet,F,063Y,no" for number, path in enumerate(paths)]
    head = "path,patient,study,series,modality,series_number,numbering,sex,age,contrast"
    (folder / "table.csv").write_text("\n".join([head, *rows]))
    return VolumeFiles(folder=str(folder), table=str(folder / "table.csv"))


def volumes_of_files(files, out, **volumes_options):
    """Tables and metrics of stage volumes for the NIfTI files of a delivery, with the index that they would have."""
    (out / "key").write_bytes(KEY)
    pseudonyms, paths = Pseudonyms(KEY), [entry.path for entry in read_entries(files)]
    rows = [
        {
            "file": pseudonyms.file(path),
            "frame": 0,
            "slices": 5,
            **{name: name[0] + str(number) for name in ("instance", "series", "study", "patient", "volume")},
            "modality": "CT",
            "series_number": number,
            "instance_number": 1,
            "shard": 0,
            "split": "train",
            "burned_in": None,
            "reason": None,
        }
        for number, path in enumerate(paths)
    ]
    write_table(out / "instances.parquet", frame_of(rows, InstanceTable), InstanceTable, fingerprint("index"))
    empty = dict.fromkeys(FileRow.__annotations__, "")
    rows = [empty | {"file": pseudonyms.file(path), "path": path, "shard": 0} for path in paths]
    write_table(out / "files.parquet", frame_of(rows, FileTable), FileTable, fingerprint("index"))
    tables = {name: out / f"{name}.parquet" for name in ("volumes", "slices", "instances", "files")}
    volumes.run(
        **tables,
        key=out / "key",
        shard=0,
        store=out / "store",
        metrics=out / "volumes.json",
        fingerprint=fingerprint("volumes", memory_gb=4.0, **volumes_options),
        volume_files=files.model_dump_json(),
    )
    metrics = json.loads((out / "volumes.json").read_text())
    return read_table(tables["volumes"], VolumeTable), read_table(tables["slices"], SliceTable), metrics


def test_nifti_files_become_volumes_or_have_a_reason(tmp_path):
    values = (np.arange(7 * 6 * 5).reshape(7, 6, 5) * 3 - 300).astype(np.int16)
    affine = np.diag([-1.0, -1, 3, 1])
    for number in range(3):
        write_nifti(tmp_path / f"d/{number}.nii.gz", values + number, affine)
    write_nifti(tmp_path / "d/3.nii.gz", values + 1024, affine)
    (tmp_path / "d/4.nii.gz").write_bytes((tmp_path / "d/1.nii.gz").read_bytes()[:-50])
    files = table_of(tmp_path / "d", [f"{number}.nii.gz" for number in range(5)])
    made, slices, metrics = volumes_of_files(files, tmp_path, minimum_slices=3)
    assert metrics["flow"] == {"taken": 5, "used": 3, "aside": {"not_hounsfield": 1, "unreadable": 1}}
    assert metrics["made"]["slices"] == len(slices) == 15 and made["slices"].to_list() == [5] * 5
    row = made.filter(made["volume"] == "v2").row(0, named=True)
    volume, _ = read_volume(tmp_path / "store" / row["file"])
    assert np.array_equal(volume, values + 2)
    assert (row["plane"], row["sex"], row["age"], row["contrast"], row["frame"]) == ("axial", "F", 63, False, None)
    assert (row["columns"], row["rows"], row["slices"], row["spacing_z"]) == (7, 6, 5, 3.0)
    own = slices.filter(slices["volume"] == "v2")
    assert own["instance"].to_list() == [Pseudonyms(KEY).instance(f"v2|{index}") for index in range(5)]
    assert own["index"].to_list() == [0, 1, 2, 3, 4] and own["instance_number"].to_list() == [1, 2, 3, 4, 5]


def test_nifti_file_that_left_the_list_after_the_index_ends_the_run(tmp_path):
    write_nifti(tmp_path / "d/0.nii.gz", np.zeros((7, 6, 5), np.int16), np.eye(4))
    files = table_of(tmp_path / "d", ["0.nii.gz", "1.nii.gz"])
    volumes_of_files(files, tmp_path)
    table_of(tmp_path / "d", ["0.nii.gz"])
    tables = {name: tmp_path / f"{name}.parquet" for name in ("volumes", "slices", "instances", "files")}
    with pytest.raises(ValueError, match="has changed since the index"):
        volumes.run(
            **tables,
            key=tmp_path / "key",
            shard=0,
            store=tmp_path / "store",
            metrics=tmp_path / "volumes.json",
            fingerprint=fingerprint("volumes"),
            volume_files=files.model_dump_json(),
        )


def test_second_run_is_equal_and_writes_no_volume(write_slice, tmp_path):
    stack_of(write_slice, tmp_path / "d", range(5))
    first = make_volumes(tmp_path / "d", tmp_path)
    file = first.store / only_volume(first)["file"]
    before = file.stat().st_mtime_ns
    second = make_volumes(tmp_path / "d", tmp_path)
    assert second.volumes.equals(first.volumes)
    assert second.slices.equals(first.slices)
    assert file.stat().st_mtime_ns == before
