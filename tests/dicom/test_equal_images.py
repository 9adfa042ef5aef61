"""Copies of images in one series, from DICOM files to volumes: each image is taken once, and no series is lost."""

from collections import Counter

import numpy as np
import polars as pl
import pydicom
import pytest
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLSLossless, RLELossless
from tests.factories import make_volumes, write_dicom

from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume

COUNT, STEP = 8, 1.375  # slices, mm
RNG = np.random.default_rng(3)


def write_series(folder, name, pixels, places=range(COUNT), uids="", first_number=1, **attributes):
    """Slices at numbered places of the series `name`; `uids` distinguishes UIDs. An attribute may depend on the place."""
    for k in places:
        values = {
            "SeriesInstanceUID": f"1.2.4.{name}",
            "SOPInstanceUID": f"1.2.3.{name}.{k}{uids}",
            "InstanceNumber": k + first_number,
            "ImagePositionPatient": [-10.25, 3.5, k * STEP],
        }
        values |= {keyword: value(k) if callable(value) else value for keyword, value in attributes.items()}
        write_dicom(folder / f"{k}.dcm", pixels[k], **values)


def outcomes(folder, series, **options):
    """What becomes of series, each a list of sets of images, as (pixels to add, arguments of `write_series`).

    Returns:
        For each series its accepted volumes as numbers of slices, and its images that are put aside by reason. Each accepted slice
        is checked to be the image of its place, with the pixels of the first set if it is at places of that.
    """
    bases = {}
    for number, (name, sets) in enumerate(series.items(), 1):
        bases[name] = RNG.integers(0, 900, (COUNT, 6, 5)).astype(np.int16)
        for letter, (added, arguments) in zip("abcd", sets, strict=False):
            write_series(folder / "d" / str(number) / letter, number, bases[name] + added, **arguments)
    outputs = make_volumes(folder / "d", folder, **options)
    instances = pl.read_parquet(folder / "instances.parquet")
    results = {}
    for number, name in enumerate(series, 1):
        pseudonym = outputs.pseudonyms.series(f"1.2.4.{number}")
        volumes = outputs.volumes.filter(pl.col("series") == pseudonym)
        aside = Counter()
        for reason, slices in volumes.select("reason", "slices").rows():
            aside[reason] += slices
        accepted = volumes.filter(pl.col("reason").is_null())
        for file in accepted["file"]:
            voxels, affine = read_volume(outputs.store / file)
            for index in range(voxels.shape[2]):
                k = round(float(affine[2] @ [0, 0, index, 1]) / STEP)
                difference = image_at(voxels, index).astype(int) - bases[name][k]
                assert np.ptp(difference) == 0
        aside.update(instances.filter(pl.col("series") == pseudonym)["reason"].drop_nulls().to_list())
        results[name] = (sorted(accepted["slices"]), {reason: n for reason, n in aside.items() if reason})
    assert outputs.slices["instance"].n_unique() == len(outputs.slices)
    return results


PLAIN = (0, {})
# Second sets of images that are copies of the first: arguments of `write_series`.
COPIES = {
    "the same files": {},
    "other UIDs": {"uids": ".9"},
    "other UIDs and numbers": {"uids": ".9", "first_number": 101},
    "other UIDs, half of the places": {"uids": ".9", "places": range(0, COUNT, 2)},
    "other UIDs, another scale": {"uids": ".9", "RescaleSlope": 1, "RescaleIntercept": -5},
    "positions with one decimal": {"ImagePositionPatient": lambda k: [-10.2, 3.5, round(k * STEP, 1)]},
    "positions in whole millimetres": {"ImagePositionPatient": lambda k: [-10, 4, round(k * STEP)]},
    "positions cut off": {"ImagePositionPatient": lambda k: [-10.2, 3.5, int(k * STEP * 10) / 10]},
    "rounded spacing": {"PixelSpacing": [0.7, 0.7]},
    "another image type": {"ImageType": ["DERIVED", "SECONDARY"]},
    "another image type, half of the places": {"ImageType": ["DERIVED", "SECONDARY"], "places": range(6)},
    "no frame of reference": {"FrameOfReferenceUID": None},
    "another frame of reference": {"FrameOfReferenceUID": "1.9"},
    "no image number": {"InstanceNumber": None},
    "a lost attribute": {"AcquisitionNumber": None},
    "another character set": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Ü"},
    "de-identified": {"PatientName": "Anonymous", "StudyDate": None, "InstitutionName": None},
}


def test_copies_are_taken_once(tmp_path):
    first = {"AcquisitionNumber": 3, "PixelSpacing": [0.7031, 0.7031], "PatientSex": "F"}
    sets = {
        name: [(0, first), (5 if "scale" in name else 0, {**first, **arguments})] for name, arguments in COPIES.items()
    }
    expected = {
        name: ([COUNT], {"duplicate": len(arguments.get("places", range(COUNT)))}) for name, arguments in COPIES.items()
    }
    assert outcomes(tmp_path, sets) == expected


def test_all_but_one_of_many_copies_are_duplicates(tmp_path):
    thrice = [(0, {"uids": uids}) for uids in ("", ".8", ".9")]
    two_phases = [(0, {"AcquisitionNumber": 1}), (0, {"AcquisitionNumber": 1, "uids": ".8"})]
    two_phases += [(70, {"AcquisitionNumber": 2, "uids": ".7"}), (70, {"AcquisitionNumber": 2, "uids": ".9"})]
    found = outcomes(tmp_path, {"thrice": thrice, "phases": two_phases})
    assert found == {"thrice": ([COUNT], {"duplicate": 2 * COUNT}), "phases": ([COUNT] * 2, {"duplicate": 2 * COUNT})}


def test_different_images_are_no_copies(tmp_path):
    one_differs = np.zeros((COUNT, 6, 5), np.int16)
    one_differs[1, 0, 0] = 1
    series = {
        "other pixels under one UID": [PLAIN, (1, {})],
        "other pixels under other UIDs": [PLAIN, (1, {"uids": ".9"})],
        "one other pixel": [PLAIN, (one_differs, {"uids": ".9"})],
        "one UID for two kinds": [PLAIN, (1, {"ImageType": ["ORIGINAL", "PRIMARY", "P"]})],
        "one UID for two phases": [(0, {"AcquisitionNumber": 1}), (0, {"AcquisitionNumber": 2, "InstanceNumber": 5})],
        "one UID for all": [(0, {"SOPInstanceUID": "1.2.3.99"})],
        "one UID for all, no numbers": [(0, {"SOPInstanceUID": "1.2.3.98", "InstanceNumber": None})],
    }
    lost = ([], {"four_dimensional": 2 * COUNT})
    assert outcomes(tmp_path, series) == {
        "other pixels under one UID": lost,
        "other pixels under other UIDs": lost,
        "one other pixel": lost,
        "one UID for two kinds": ([COUNT, COUNT], {}),
        "one UID for two phases": ([COUNT, COUNT], {}),
        "one UID for all": ([COUNT], {}),
        "one UID for all, no numbers": ([COUNT], {}),
    }


def test_blank_images_side_by_side_are_no_copies(tmp_path):
    blank = np.zeros((COUNT, 6, 5), np.int16)
    for side in (0, 50):
        write_series(
            tmp_path / "d" / str(side),
            1,
            blank,
            uids=f".{side}",
            ImagePositionPatient=lambda k, side=side: [side, 0, k],
        )
    outputs = make_volumes(tmp_path / "d", tmp_path)
    assert outputs.volumes["reason"].to_list() == ["four_dimensional"]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEG2000])
def test_copies_in_another_transfer_syntax_are_duplicates(tmp_path, syntax):
    """The last syntax is lossy: its values are nearly those of the original, which is kept."""
    x = np.arange(64)
    pixels = (2000 + 900 * np.sin(x / 9)[:, None] * np.cos(x / 7) + RNG.integers(0, 9, (COUNT, 64, 64))).astype(
        np.uint16
    )
    for folder in "ab":
        write_series(tmp_path / "d" / folder, 1, pixels)
    for path in (tmp_path / "d" / "a").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False, **({"j2k_cr": [8]} if syntax == JPEG2000 else {}))
        dataset.save_as(path)
    outputs = make_volumes(tmp_path / "d", tmp_path)
    assert outputs.volumes.select("slices", "reason").rows() == [(COUNT, None), (COUNT, "duplicate")]
    np.testing.assert_array_equal(read_volume(outputs.store / outputs.volumes["file"][0])[0], pixels.T)


def test_kept_copies_do_not_depend_on_file_names(tmp_path):
    pixels = RNG.integers(0, 900, (COUNT, 6, 5)).astype(np.int16)
    tables = []
    for folders in ("ab", "ba"):
        out = tmp_path / folders
        for folder, uids in zip(folders, (".5", ".4"), strict=True):
            write_series(out / "d" / folder, 1, pixels, uids=uids)
        outputs = make_volumes(out / "d", out)
        tables.append((outputs.volumes.drop("file"), outputs.slices))
        assert outputs.slices["instance"][0] == outputs.pseudonyms.instance("1.2.3.1.0.4")
    assert all(first.equals(second) for first, second in zip(*tables, strict=True))


def test_copy_replaces_an_image_that_cannot_be_decoded(tmp_path):
    pixels = RNG.integers(0, 900, (COUNT, 6, 5)).astype(np.int16)
    for folder in "ab":
        write_series(tmp_path / "d" / folder, 1, pixels)
    broken = tmp_path / "d" / "a" / "3.dcm"
    broken.write_bytes(broken.read_bytes()[:-20])
    outputs = make_volumes(tmp_path / "d", tmp_path)
    assert outputs.volumes.select("slices", "reason").rows() == [(COUNT, None), (COUNT, "duplicate")]


def test_copies_of_a_stack_with_a_gap_have_a_row(tmp_path):
    pixels = RNG.integers(0, 900, (COUNT, 6, 5)).astype(np.int16)
    places = [0, 1, 2, 3, 6, 7]
    for uids in ("", ".9"):
        write_series(tmp_path / "d" / f"x{uids}", 1, pixels, places=places, uids=uids)
    whole = make_volumes(tmp_path / "d", tmp_path / "whole")
    assert whole.volumes.select("slices", "reason").rows() == [(12, "slice_missing")]
    split = make_volumes(tmp_path / "d", tmp_path / "split", gaps="split")
    rows = split.volumes.select("slices", "reason").rows()
    assert rows == [(4, None), (2, "slice_missing"), (6, "duplicate")]
    stack = split.volumes["volume"][-1]
    assert split.volumes["volume"].to_list() == [f"{stack}-1", f"{stack}-2", stack]


def test_enhanced_copies_are_duplicates(tmp_path):
    from pydicom import Dataset, Sequence

    pixels = RNG.integers(0, 900, (COUNT, 6, 5)).astype(np.int16)
    for file in range(2):
        groups = []
        for k in range(COUNT):
            position, group = Dataset(), Dataset()
            position.ImagePositionPatient = [0, 0, k]
            group.PlanePositionSequence = Sequence([position])
            groups.append(group)
        write_dicom(
            tmp_path / "d" / f"{file}",
            pixels,
            SOPInstanceUID=f"1.2.3.{file}",
            PerFrameFunctionalGroupsSequence=groups,
            ImagePositionPatient=None,
        )
    outputs = make_volumes(tmp_path / "d", tmp_path)
    assert outputs.volumes.select("slices", "reason").rows() == [(COUNT, None), (COUNT, "duplicate")]
    assert set(outputs.slices["instance"]) == {outputs.pseudonyms.instance(f"1.2.3.0|{k}") for k in range(COUNT)}
