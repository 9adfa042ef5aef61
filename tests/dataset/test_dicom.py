import inspect

import numpy as np
import SimpleITK
from tests.stages.conftest import write
from tests.stages.test_volumes import instance_of, make, only

from refrad.cli import main
from refrad.dataset import dicom


def test_the_command_of_the_docs_has_the_right_flags(root):
    (line,) = [one for one in (root / "docs" / "volumes.md").read_text().splitlines() if "refrad export-dicom" in one]
    given = {word.removeprefix("--") for word in line.split() if word.startswith("--")}
    assert given == set(inspect.signature(dicom.main).parameters)


def test_accepted_images_are_exported_and_other_programs_read_them(shared, tmp_path, caplog):
    folder = shared / "dicom-mr" / "vs_seg_001_t1_axial_part"
    made = make(folder, tmp_path)
    command = ["export-dicom", "--dicom", folder, "--instances", tmp_path / "instances.parquet"]
    command += ["--files", tmp_path / "files.parquet", "--slices", tmp_path / "slices.parquet"]
    with caplog.at_level("INFO"):
        assert main(list(map(str, [*command, "--key", tmp_path / "key", "--out", tmp_path / "out"]))) == 0
    assert "16 files written, 0 left out" in caplog.text
    row = only(made)
    written = tmp_path / "out" / row["patient"] / row["study"] / row["series"]
    assert {path.stem for path in written.iterdir()} == set(made.slices["instance"])
    for path in folder.iterdir():
        before, after = (SimpleITK.ReadImage(str(p)) for p in (path, written / f"{instance_of(made, path)}.dcm"))
        assert SimpleITK.Hash(before) == SimpleITK.Hash(after)
        assert before.GetOrigin() == after.GetOrigin()


def test_images_with_text_in_their_pixels_stay_out(tmp_path, caplog):
    for z in range(5):
        pixels = np.full((4, 5), z, np.int16)
        write(tmp_path / "d" / str(z), pixels, ImagePositionPatient=[0, 0, z], BurnedInAnnotation="YES")
    make(tmp_path / "d", tmp_path, index_options={"burned_in": "keep"})
    command = ["export-dicom", "--dicom", tmp_path / "d", "--instances", tmp_path / "instances.parquet"]
    command += ["--files", tmp_path / "files.parquet", "--slices", tmp_path / "slices.parquet"]
    with caplog.at_level("INFO"):
        assert main(list(map(str, [*command, "--key", tmp_path / "key", "--out", tmp_path / "out"]))) == 0
    assert "0 files written, 5 left out" in caplog.text
    assert not (tmp_path / "out").exists()
