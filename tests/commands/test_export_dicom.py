import inspect
import struct
import subprocess

import dcm2niix
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian
from tests.factories import instance_of, make_volumes, only_volume, write_dicom
from tests.factories.encapsulated import DELIMITER, SHAPE, encapsulated, encode, picture, write_encapsulated

from refrad.cli import main
from refrad.commands import export_dicom as dicom
from refrad.dicom.encapsulated import JPEG_XL
from refrad.dicom.volume_store import read_volume


def test_export_dicom_command_of_the_docs_has_the_right_flags(root):
    lines = (root / "docs" / "volumes.md").read_text().splitlines()
    (line,) = [text for text in lines if text.startswith("    refrad export-dicom ")]
    flags = {word.removeprefix("--") for word in line.split() if word.startswith("--")}
    assert flags == {name.replace("_", "-") for name in inspect.signature(dicom.main).parameters} - {"accept-terms"}


def export(folder, made_in, *options):
    command = ["export-dicom", "--dicom", folder, "--instances", made_in / "instances.parquet"]
    command += ["--files", made_in / "files.parquet", "--slices", made_in / "slices.parquet"]
    return main(list(map(str, [*command, "--key", made_in / "key", "--out", made_in / "out", *options])))


def test_exported_images_are_read_by_other_programs(shared, tmp_path, caplog):
    folder = shared / "dicom-mr" / "vs_seg_001_t1_axial_part"
    outputs = make_volumes(folder, tmp_path)
    with caplog.at_level("INFO"):
        assert export(folder, tmp_path) == 0
    assert "16 files written, 0 left out" in caplog.text
    row = only_volume(outputs)
    written = tmp_path / "out" / row["patient"] / row["study"] / row["series"]
    assert {path.stem for path in written.iterdir()} == set(outputs.slices["instance"])
    for path in folder.iterdir():
        before, after = (SimpleITK.ReadImage(str(p)) for p in (path, written / f"{instance_of(outputs, path)}.dcm"))
        assert SimpleITK.Hash(before) == SimpleITK.Hash(after)
        assert before.GetOrigin() == after.GetOrigin()


def converted(folder, out):
    """The images that dcm2niix makes of a folder."""
    out.mkdir()
    command = [dcm2niix.bin, "-z", "n", "-b", "n", "-o", out, folder]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Error" not in said
    return [nib.as_closest_canonical(nib.load(path)) for path in sorted(out.glob("*.nii"))]


@pytest.mark.parametrize(
    "folder",
    [
        *("dicom-mr/dicom2nifti_siemens_sagittal", "dicom-mr/dicom2nifti_philips_enhanced_T1"),
        *(
            "dicom-mr/dicom2nifti_compressed_j2k",
            "dicom-mr/dicom2nifti_compressed_jpegls",
            "dicom-ct/dcm_qa_ct_philips_s2010_part",
        ),
    ],
)
def test_exported_series_become_the_same_volume_elsewhere(folder, shared, tmp_path, caplog):
    outputs = make_volumes(shared / folder, tmp_path)
    files = len([path for path in (shared / folder).rglob("*") if path.is_file()])
    with caplog.at_level("INFO"):
        assert export(shared / folder, tmp_path) == 0
    assert f"{files} files written, 0 left out" in caplog.text
    volume, affine = read_volume(outputs.store / only_volume(outputs)["file"])
    ours = nib.as_closest_canonical(nib.Nifti1Image(np.asarray(volume), affine))
    (theirs,) = converted(tmp_path / "out", tmp_path / "nifti")
    assert ours.shape == theirs.shape and np.allclose(ours.affine, theirs.affine, atol=1e-3)
    values, others = (np.asarray(image.dataobj).ravel().astype(float) for image in (ours, theirs))
    assert np.corrcoef(values, others)[0, 1] > 0.99999  # the scale of MR is a matter of taste


CANARY = "KANARI^Vogel"


def test_enhanced_image_keeps_its_frames_and_no_text(tmp_path, caplog):
    frames = np.arange(6 * 20, dtype=np.uint16).reshape(6, 4, 5)
    image = pydicom.dcmread(write_dicom(tmp_path / "d" / "one", frames[0], Modality="MR", SOPInstanceUID="1.2.3"))
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    image.NumberOfFrames, image.PixelData, image.PixelRepresentation = 6, frames.astype("<u2").tobytes(), 0
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        if keyword in image:
            del image[keyword]
    shared_group, image.PerFrameFunctionalGroupsSequence = Dataset(), []
    shared_group.PixelMeasuresSequence, shared_group.PlaneOrientationSequence = [Dataset()], [Dataset()]
    shared_group.PixelMeasuresSequence[0].PixelSpacing, shared_group.PixelMeasuresSequence[0].SliceThickness = [2, 2], 3
    shared_group.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.SharedFunctionalGroupsSequence = [shared_group]
    for number in range(6):
        group, content, position = Dataset(), Dataset(), Dataset()
        content.FrameComments, content.FrameLabel, content.StackID = CANARY, CANARY, CANARY
        content.InStackPositionNumber, content.FrameAcquisitionDateTime = number + 1, "19110109101010"
        position.ImagePositionPatient = [0, 0, 3 * number]
        group.FrameContentSequence, group.PlanePositionSequence = [content], [position]
        group.add_new(0x20051140, "SQ", [Dataset()])
        group[0x20051140].value[0].PatientName = CANARY
        image.PerFrameFunctionalGroupsSequence.append(group)
    image.save_as(tmp_path / "d" / "one")
    outputs = make_volumes(tmp_path / "d", tmp_path)
    with caplog.at_level("INFO"):
        assert export(tmp_path / "d", tmp_path) == 0
    assert "1 files written" in caplog.text
    (path,) = (tmp_path / "out").rglob("*.dcm")
    content = path.read_bytes()
    assert not [word for word in (b"KANARI", b"Vogel", b"19110109") if word in content]
    written = pydicom.dcmread(path)
    assert np.array_equal(written.pixel_array, frames)
    places = [g.PlanePositionSequence[0].ImagePositionPatient[2] for g in written.PerFrameFunctionalGroupsSequence]
    assert places == [0, 3, 6, 9, 12, 15]
    volume, _ = read_volume(outputs.store / only_volume(outputs)["file"])
    (theirs,) = converted(tmp_path / "out", tmp_path / "nifti")
    assert sorted(np.asarray(theirs.dataobj).ravel()) == sorted(volume.ravel())


def test_images_with_burned_in_text_are_not_exported(tmp_path, caplog):
    for z in range(5):
        pixels = np.full((4, 5), z, np.int16)
        write_dicom(tmp_path / "d" / str(z), pixels, ImagePositionPatient=[0, 0, z], BurnedInAnnotation="YES")
    make_volumes(tmp_path / "d", tmp_path, index_options={"burned_in": "keep"})
    with caplog.at_level("INFO"):
        assert export(tmp_path / "d", tmp_path) == 0
    assert "0 files written, 5 left out" in caplog.text
    assert not (tmp_path / "out").exists()


def test_images_without_uids_are_exported_with_pseudonyms(shared, tmp_path, caplog):
    folder = shared / "dicom-ct" / "totalseg_example_ct_dicom"  # all of its UIDs are empty
    outputs = make_volumes(folder, tmp_path)
    with caplog.at_level("INFO"):
        assert export(folder, tmp_path) == 0
    assert "20 files written, 0 left out" in caplog.text
    (series,) = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(next((tmp_path / "out").glob("*/*/*"))))
    row = only_volume(outputs)
    assert series.startswith(f"2.25.{int(row['series'], 16)}")


def test_files_without_file_meta_information_are_exported(tmp_path, caplog):
    for z in range(6):
        path = tmp_path / "d" / str(z)
        write_dicom(path, np.full((4, 5), z, np.int16), ImagePositionPatient=[0, 0, z], SOPInstanceUID=f"1.2.{z}")
        bare = pydicom.dcmread(path)
        del bare.file_meta
        bare.preamble = None
        bare.save_as(path, implicit_vr=z % 2 == 0, little_endian=True, enforce_file_format=False)
    outputs = make_volumes(tmp_path / "d", tmp_path)
    with caplog.at_level("INFO"):
        assert export(tmp_path / "d", tmp_path) == 0
    assert "6 files written, 0 left out" in caplog.text
    written = {path.stem: SimpleITK.ReadImage(str(path)) for path in (tmp_path / "out").glob("*/*/*/*.dcm")}
    assert set(written) == set(outputs.slices["instance"])
    volume, _ = read_volume(outputs.store / only_volume(outputs)["file"])
    assert [
        SimpleITK.GetArrayFromImage(written[instance]).max() for instance in outputs.slices.sort("index")["instance"]
    ] == volume[0, 0].tolist()


@pytest.mark.parametrize("syntax", sorted(JPEG_XL))
@pytest.mark.parametrize("frames", [1, 4])
def test_jpeg_xl_is_exported_uncompressed(syntax, frames, tmp_path, caplog):
    is_jpeg = syntax.endswith("111")  # of 8 bits
    layout = {"BitsAllocated": 8, "BitsStored": 8} if is_jpeg else {}
    (tmp_path / "d").mkdir()
    for z in range(1 if frames > 1 else 4):
        streams = [encode(picture(z + number), syntax) for number in range(frames)]
        place = {"ImagePositionPatient": [0, 0, z]} if frames == 1 else {"SOPClassUID": EnhancedMRImageStorage}
        value = encapsulated(streams) + DELIMITER
        attributes = layout | place | {"Modality": "MR", "HighBit": 7 if is_jpeg else 15 if z == 1 else 11}
        write_encapsulated(tmp_path / "d" / f"{z}", value, syntax, frames, **attributes)
    outputs = make_volumes(tmp_path / "d", tmp_path)
    with caplog.at_level("INFO"):
        assert export(tmp_path / "d", tmp_path) == 0
    assert f"{4 // frames} files written, 0 left out for burned-in text, 0 could not be written" in caplog.text
    written = [pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    assert {len(image.PixelData) for image in written} == {frames * SHAPE[0] * SHAPE[1] * (1 if is_jpeg else 2)}
    assert {image.file_meta.TransferSyntaxUID for image in written} == {ExplicitVRLittleEndian}
    assert {image.HighBit for image in written} == {7 if is_jpeg else 11}
    volume, _ = read_volume(outputs.store / only_volume(outputs)["file"])
    (theirs,) = converted(tmp_path / "out", tmp_path / "nifti")
    assert sorted(np.asarray(theirs.dataobj).ravel()) == sorted(volume.ravel())


def test_file_that_lost_its_pixels_is_left_out(tmp_path, caplog):
    for z in range(5):
        write_dicom(tmp_path / "d" / f"{z}", np.full((4, 5), z, np.int16), ImagePositionPatient=[0, 0, z])
    make_volumes(tmp_path / "d", tmp_path)
    path = tmp_path / "d" / "2"
    path.write_bytes(path.read_bytes()[:-52])  # where the pixels begin
    with caplog.at_level("INFO"):
        assert export(tmp_path / "d", tmp_path) == 0
    assert "4 files written, 0 left out for burned-in text, 1 could not be written" in caplog.text


@pytest.mark.parametrize("damage", ["cut stream", "cut file", "other size", "too few frames", "no JPEG XL"])
def test_damaged_jpeg_xl_is_left_out_and_counted(damage, tmp_path, caplog):
    syntax, whole = min(JPEG_XL), encode(picture(1), min(JPEG_XL))
    (tmp_path / "d").mkdir()
    for z in range(4):
        value = encapsulated([whole]) + DELIMITER
        write_encapsulated(tmp_path / "d" / f"secret{z}", value, syntax, ImagePositionPatient=[0, 0, z])
    make_volumes(tmp_path / "d", tmp_path)
    streams = {
        "cut stream": [whole[:-40]],
        "other size": [encode(np.ascontiguousarray(picture(1)[:-1]), syntax)],
        "no JPEG XL": [bytes(200)],
    }
    value = encapsulated(streams.get(damage, [whole]))
    value = value[:-40] if damage == "cut file" else value + DELIMITER
    # stands where an image of the volume stood, as after a transfer that went wrong
    count = {"NumberOfFrames": 2} if damage == "too few frames" else {}
    write_encapsulated(tmp_path / "d" / "secret2", value, syntax, **count)
    with caplog.at_level("INFO"):
        assert export(tmp_path / "d", tmp_path) == 0
    assert "3 files written, 0 left out for burned-in text, 1 could not be written" in caplog.text
    assert "secret" not in caplog.text


def test_broken_or_oversized_files_are_left_out_unnamed(tmp_path, caplog, capfd):
    for z in range(5):
        write_dicom(tmp_path / "d" / f"secret{z}", np.full((4, 5), z, np.int16), ImagePositionPatient=[0, 0, z])
    make_volumes(tmp_path / "d", tmp_path)
    (tmp_path / "d" / "secret1").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff")
    with (tmp_path / "d" / "secret2").open("r+b") as file:  # takes no room on the disk
        file.seek(file.seek(0, 2) - 48)
        file.write(b"OW\0\0" + (2**31).to_bytes(4, "little"))
        file.truncate(2**31 + 2000)
    with caplog.at_level("INFO"):
        assert export(tmp_path / "d", tmp_path, "--memory-gb", 1) == 0
    assert "3 files written, 0 left out for burned-in text, 1 could not be written, 1 went beyond limits" in caplog.text
    assert "secret" not in caplog.text.lower() + str(capfd.readouterr()).lower()


def test_deeply_nested_file_is_left_out(tmp_path, caplog):
    for z in range(5):
        write_dicom(tmp_path / "d" / f"secret{z}", np.full((4, 5), z, np.int16), ImagePositionPatient=[0, 0, z])
    make_volumes(tmp_path / "d", tmp_path)
    path = tmp_path / "d" / "secret3"
    content, sizes = path.read_bytes(), range(0, 20 * 10_000, 20)
    place = content.index(
        b"\x10\x00\x20\x00LO"
    )  # before PatientID: sequences that end where the next one ends, 10,000 deep
    heads = [struct.pack("<HH2sHLHHL", 8, 0x1140, b"SQ", 0, size + 8, 0xFFFE, 0xE000, size) for size in reversed(sizes)]
    path.write_bytes(content[:place] + b"".join(heads) + content[place:])
    with caplog.at_level("INFO"):
        assert export(tmp_path / "d", tmp_path) == 0
    assert "4 files written" in caplog.text and "secret" not in caplog.text
