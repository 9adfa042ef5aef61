"""The table masks.csv: which mask belongs to which volumes."""

import errno
import logging
import os
from pathlib import Path

import polars as pl
import pytest

from refrad.segmentation.base import DeliveredMasks
from refrad.segmentation.mask_table import masks_of_volumes

PATHS = [("v1", "ct/one/1.dcm"), ("v1", "ct/one/2.dcm"), ("v2", "ct/two/1.dcm"), ("v3", "Müller Gefäße/1.dcm")]
OTHERS = ["mr/1.dcm", "ct/scout.dcm"]
USED = "names a mask and images of the delivery"


@pytest.fixture
def folder(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz", "Maske 3.NII", "sub/c.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path.parent / "outside.nii.gz").write_bytes(b"x")
    return tmp_path


def masks_of(folder, table, counts=None):
    """Volume to the name of its mask in the folder, or to its reason."""
    (folder / "masks.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    counts = {} if counts is None else counts
    paths = pl.DataFrame(PATHS, ["volume", "path"], orient="row")
    delivery = pl.LazyFrame({"path": [path for _, path in PATHS] + OTHERS})
    given = masks_of_volumes(DeliveredMasks(folder, lambda: paths, delivery, counts.__setitem__))
    return {
        volume: mask.path.relative_to(folder).as_posix() if mask.path else mask.reason for volume, mask in given.items()
    }


BOTH = "dicom,mask\nct/one,a.nii.gz\nct/two,b.nii.gz\n"


@pytest.mark.parametrize(
    "table",
    [
        BOTH,
        BOTH.replace(",", ";"),
        BOTH.replace(",", "\t"),
        "sep=;\n" + BOTH.replace(",", ";"),
        "\ufeff" + BOTH,
        BOTH.encode("utf-16"),
        BOTH.replace("\n", "\r\n"),
        "\n" + BOTH + "\n\n",
        ' DICOM ,"Mask"\n"ct/one","a.nii.gz"\n ct/two , b.nii.gz \n',
        "note,mask,dicom,\nx,a.nii.gz,ct/one,\n,b.nii.gz,ct/two,\n",
        "dicom,mask\nct\\one\\,.\\a.nii.gz\nct\\two,b.nii.gz\n",
        "dicom,mask\n/ct/one/,./a.nii.gz\n./ct/./two/1.dcm,sub/../b.nii.gz\n",
        "dicom,mask\nct/one/1.dcm,a.nii.gz\nct/one/2.dcm,a.nii.gz\nct/two,b.nii.gz\n",
        "dicom,mask\nct/one,A.NII.GZ\nct/two,b.nii.gz\n",
    ],
)
def test_table_is_read_as_programs_write_it(table, folder):
    assert masks_of(folder, table) == {"v1": "a.nii.gz", "v2": "b.nii.gz"}


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("name", ["Müller Gefäße", "Mu\u0308ller Gefa\u0308ße"])
def test_umlauts_are_found_in_every_charset(charset, name, folder):
    if charset == "cp1252" and "\u0308" in name:
        pytest.skip("the charset has no separate marks")
    table = f"dicom,mask\n{name},Maske 3.nii\n".encode(charset)
    assert masks_of(folder, table) == {"v3": "Maske 3.NII"}


@pytest.mark.parametrize("images", [".", "./", "/"])
def test_dot_is_the_whole_delivery(images, folder):
    assert masks_of(folder, f"dicom,mask\n{images},a.nii.gz\n") == dict.fromkeys(("v1", "v2", "v3"), "a.nii.gz")


@pytest.mark.parametrize(
    ("row", "outcome", "reason"),
    [
        ("ct/one,a.nii.gz", USED, "a.nii.gz"),
        ("ct/one,sub", USED, "sub"),
        ("mr,a.nii.gz", USED, None),
        ("ct/one,", "names no mask", None),
        ("ct/one,no.nii.gz", "names a mask that is not in the folder", "mask_missing"),
        ("ct/one,../outside.nii.gz", "names a mask that is not in the folder", "mask_missing"),
        ("ct/one,..\\outside.nii.gz", "names a mask that is not in the folder", "mask_missing"),
        ("ct/one,sub/../../outside.nii.gz", "names a mask that is not in the folder", "mask_missing"),
        ("ct/one,{folder}/a.nii.gz", USED, "a.nii.gz"),
        ("ct/one,{folder}/../outside.nii.gz", "names a mask that is not in the folder", "mask_missing"),
        ("ct/one,/etc/hostname", "names a mask that is not in the folder", "mask_missing"),
        ("ct/one,C:\\masks\\a.nii.gz", "names a mask that is not in the folder", "mask_missing"),
        (f"ct/one,{'a' * 300}", "names a mask that is not in the folder", "mask_missing"),
        (",a.nii.gz", "names nothing of the delivery", None),
        ("ct/on,a.nii.gz", "names nothing of the delivery", None),
        ("../ct/one,a.nii.gz", "names nothing of the delivery", None),
        ("ct/one/1.dcm/x,a.nii.gz", "names nothing of the delivery", None),
        ("ct/one,x,y,a.nii.gz", "cannot be read", None),
    ],
)
def test_row_is_counted_by_what_became_of_it(row, outcome, reason, folder, caplog):
    counts = {}
    table = "dicom,mask\nct/two,b.nii.gz\n" + row.replace("{folder}", str(folder)) + "\n"
    with caplog.at_level(logging.WARNING):
        masks = masks_of(folder, table, counts)
    assert masks == {"v2": "b.nii.gz"} | ({"v1": reason} if reason else {})
    assert counts == ({USED: 2} if outcome == USED else {USED: 1, outcome: 1})
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ([] if outcome == USED else [f"masks.csv: 1 rows: {outcome} (lines 3)"])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("ct/one,a.nii.gz\nct/one,b.nii.gz\n", "ambiguous_mask"),
        ("ct/one/1.dcm,a.nii.gz\nct/one/2.dcm,b.nii.gz\n", "ambiguous_mask"),
        ("ct,a.nii.gz\nct/one,b.nii.gz\n", "ambiguous_mask"),
        ("ct/one,a.nii.gz\nct/one,no.nii.gz\n", "ambiguous_mask"),
        ("ct/one,a.nii.gz\nct/one,A.NII.GZ\n", "a.nii.gz"),
        ("ct/one,a.nii.gz\nct/one,\n", "a.nii.gz"),
    ],
)
def test_different_masks_of_one_volume_are_ambiguous(rows, reason, folder):
    assert masks_of(folder, "dicom,mask\n" + rows)["v1"] == reason


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "masks.csv: line 1: the table is empty"),
        ("dicom,mask\n", "masks.csv: line 1: no row"),
        ("ct/one,a.nii.gz\nct/two,b.nii.gz\n", "masks.csv: line 1: the header has no column dicom"),
        ("# of the archive\ndicom,mask\nct/one 1,a.nii.gz\nct/two,b.nii.gz\n", "masks.csv: line 1: no row of 3"),
        ("dicom,file\nct/one,a.nii.gz\n", "masks.csv: line 1: the header has no column mask"),
        ("dicom,mask\n" + "ct/one,x,a.nii.gz\n" * 4, "masks.csv: line 1: the header has 2 columns"),
    ],
)
def test_table_that_cannot_be_understood_is_one_line(table, message, folder):
    with pytest.raises(ValueError, match=message) as caught:
        masks_of(folder, table)
    assert "one" not in str(caught.value) and str(folder) not in str(caught.value)


def test_missing_table_is_named_without_its_folder(folder):
    empty = DeliveredMasks(folder, pl.DataFrame, pl.LazyFrame(), {}.__setitem__)
    with pytest.raises(ValueError, match=r"^masks.csv .*is not in the folder of masks$"):
        masks_of_volumes(empty)


@pytest.mark.parametrize(("number", "mask"), [(errno.EIO, "m.nii.gz"), (errno.ENAMETOOLONG, "mask_missing")])
def test_mask_whose_state_the_storage_cannot_tell_is_there(number, mask, folder, monkeypatch):
    is_file = Path.is_file

    def asked(path):
        if path.name == "m.nii.gz":
            raise OSError(number, os.strerror(number))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", asked)
    assert masks_of(folder, "dicom,mask\nct,m.nii.gz\n") == {"v1": mask, "v2": mask}
