import inspect

import numpy as np
import pydicom
import SimpleITK
from tests.factories import instance_of, make_volumes, only_volume, write_dicom

from refrad.cli import main
from refrad.commands import export_dicom as dicom
from refrad.dicom.volume_store import read_volume


def test_export_dicom_command_of_the_docs_has_the_right_flags(root):
    (line,) = [
        text for text in (root / "docs" / "volumes.md").read_text().splitlines() if "refrad export-dicom" in text
    ]
    flags = {word.removeprefix("--") for word in line.split() if word.startswith("--")}
    assert flags == {name.replace("_", "-") for name in inspect.signature(dicom.main).parameters}


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
