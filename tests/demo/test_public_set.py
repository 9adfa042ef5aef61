import csv

import nibabel as nib
import numpy as np
import pytest

from refrad.cli import main
from refrad.demo.public_set import NOTES, ROOT, write_totalsegmentator
from refrad.segmentation.precomputed import native_ids

CASES = 4


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    folder = tmp_path_factory.mktemp("download")
    write_totalsegmentator(folder, CASES, 1)
    return folder


@pytest.fixture(scope="module")
def cases(download):
    return sorted(path for path in (download / ROOT).iterdir() if path.is_dir())


def test_table_of_cases_has_the_marks_of_the_real_one(download, cases):
    content = (download / ROOT / "meta.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbfimage_id;age;gender;institute;study_type;split;")
    rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines(), delimiter=";"))
    assert [row["image_id"] for row in rows] == [case.name for case in cases] and len(cases) == CASES
    assert {row["split"] for row in rows} == {"train", "val", "test"}


def test_case_has_a_mask_file_for_each_class_of_the_task(cases):
    names = {f"{name}.nii.gz" for name in native_ids("total")}
    assert len(names) == 117
    for case in cases:
        assert {path.name for path in (case / "segmentations").iterdir()} == names


def test_masks_lie_on_the_grid_of_their_volume(cases):
    for case in cases:
        image, liver = (nib.load(case / name) for name in ("ct.nii.gz", "segmentations/liver.nii.gz"))
        assert image.shape == liver.shape and np.array_equal(image.affine, liver.affine)
        values = np.asarray(image.dataobj)[np.asarray(liver.dataobj) > 0]
        assert 40 < np.median(values) < 130  # HU of liver


def test_axes_differ_between_cases_and_sides_do_not(cases):
    """The spleen, or what the cut shows of it, is to the patient's left of the liver: world x grows to the right of RAS."""
    codes = set()
    for case in cases:
        middles = []
        for name in ("liver", "spleen"):
            image = nib.load(case / "segmentations" / f"{name}.nii.gz")
            voxels = np.argwhere(np.asarray(image.dataobj))
            if len(voxels):
                middles.append(nib.affines.apply_affine(image.affine, voxels).mean(0)[0])
        codes.add(nib.aff2axcodes(image.affine))
        assert len(middles) < 2 or middles[0] > middles[1] + 60
    assert len(codes) >= 3


def test_notes_name_cases_and_structures_that_are_in_the_image(download, cases):
    with (download / NOTES).open(encoding="utf-8", newline="") as file:
        rows = {row["TotalSegmentator_id"]: row["Notes"] for row in csv.DictReader(file)}
    assert set(rows) <= {case.name for case in cases} and rows
    for case in cases:
        spleen = nib.load(case / "segmentations" / "spleen.nii.gz")
        assert "cyst in the spleen" not in rows.get(case.name, "") or np.asarray(spleen.dataobj).any()
    for notes in rows.values():
        first, *findings = notes.splitlines()
        assert first == "Radiologist's notes: " and len(findings) > 2 and all(line.endswith(".") for line in findings)


def test_same_seed_gives_the_same_bytes(download, tmp_path):
    write_totalsegmentator(tmp_path, 1, 1)
    for name in (f"{ROOT}/s0011/ct.nii.gz", f"{ROOT}/s0011/segmentations/liver.nii.gz"):
        assert (tmp_path / name).read_bytes() == (download / name).read_bytes()


@pytest.mark.parametrize("delivered", [f"{ROOT}/s0011/ct.nii.gz", NOTES])
def test_real_set_is_not_mixed_with_synthetic_bodies(tmp_path, delivered, capsys):
    real = tmp_path / delivered
    real.parent.mkdir(parents=True, exist_ok=True)
    real.write_bytes(b"of a patient")
    assert main(["demo", "--public-set", "totalsegmentator", "--out", str(tmp_path), "--patients", "1"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [real] and real.read_bytes() == b"of a patient"
