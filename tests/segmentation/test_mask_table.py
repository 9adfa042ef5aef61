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


def masks_of(folder, table, counts=None, paths=PATHS):
    """Volume to the name of its mask in the folder, or to its reason; `table` is its content, or the place of another one."""
    if not isinstance(table, Path):
        (folder / "masks.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
        table = folder / "masks.csv"
    frame = pl.DataFrame(paths, ["volume", "path"], orient="row")
    delivery = pl.LazyFrame({"path": [path for _, path in PATHS] + OTHERS})
    counter = None if counts is None else counts.__setitem__
    given = masks_of_volumes(DeliveredMasks(folder, table, lambda: frame, delivery, counter))
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
        BOTH.replace("dicom", "volume"),
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
        ("ct/one,a.nii.gz\nct/two,b.nii.gz\n", "masks.csv: line 1: the header has no column dicom or volume"),
        ("# of the archive\ndicom,mask\nct/one 1,a.nii.gz\nct/two,b.nii.gz\n", "masks.csv: line 1: no row of 3"),
        ("dicom,file\nct/one,a.nii.gz\n", "masks.csv: line 1: the header has no column mask"),
        (
            "dicom,volume,mask\nct/one,ct/one,a.nii.gz\n",
            "masks.csv: line 1: the header has the columns dicom and volume",
        ),
        ("dicom,mask\n" + "ct/one,x,a.nii.gz\n" * 4, "masks.csv: line 1: the header has 2 columns"),
    ],
)
def test_table_that_cannot_be_understood_is_one_line(table, message, folder):
    with pytest.raises(ValueError, match=message) as caught:
        masks_of(folder, table)
    assert "one" not in str(caught.value) and str(folder) not in str(caught.value)


def test_missing_table_is_named_without_its_folder(folder):
    empty = DeliveredMasks(folder, folder / "masks.csv", pl.DataFrame, pl.LazyFrame(), None)
    with pytest.raises(
        ValueError, match=r"^masks.csv: no such table of masks .*mask_table of the delivery may name another$"
    ):
        masks_of_volumes(empty)


NIFTI = [("v1", "train_fixed/p1/p1_a/p1_a_1.nii.gz"), ("v2", "zips/b1.zip/s2/img/s2_t1.nii.gz")]
OF_NIFTI = {"volume": [path for _, path in NIFTI], "mask": ["a.nii.gz", "b.nii.gz"]}


def test_volume_column_names_single_nifti_files_also_inside_of_archives(folder):
    table = pl.DataFrame(OF_NIFTI).write_csv()
    assert masks_of(folder, table, paths=NIFTI) == {"v1": "a.nii.gz", "v2": "b.nii.gz"}
    longer = table.replace("p1_a_1.nii.gz", "p1_a_10.nii.gz")
    assert masks_of(folder, longer, paths=NIFTI) == {"v2": "b.nii.gz"}, "the 10th reconstruction is not the first"


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "PARQUET"])
def test_table_elsewhere_names_masks_of_the_folder(ending, folder, tmp_path_factory):
    table = tmp_path_factory.mktemp("tables") / f"masks.{ending}"
    frame = pl.DataFrame(OF_NIFTI | {"Note": [1, None]}).rename({"mask": "Mask"})
    if ending.lower() == "parquet":
        frame.write_parquet(table)
    else:
        frame.write_csv(table, separator="\t" if ending == "tsv" else ",")
    assert masks_of(folder, table, paths=NIFTI) == {"v1": "a.nii.gz", "v2": "b.nii.gz"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["volume", "file"], "no column mask"),
        (["image", "mask"], "no column dicom or volume"),
        (["x", "y"], "no column dicom or"),
    ],
)
def test_parquet_without_the_columns_is_refused(columns, message, folder):
    pl.DataFrame([["v"], ["m"]], columns).write_parquet(folder / "t.parquet")
    with pytest.raises(ValueError, match=f"^t.parquet: line 1: the header has {message}"):
        masks_of(folder, folder / "t.parquet")


def test_file_that_is_no_parquet_is_refused_without_its_folder(folder):
    (folder / "t.parquet").write_text(BOTH)
    with pytest.raises(ValueError, match=r"^t.parquet: is no Parquet file$"):
        masks_of(folder, folder / "t.parquet")


def test_empty_cells_of_parquet_are_counted_as_those_of_csv(folder):
    pl.DataFrame({"volume": ["ct/one", None, "ct/two"], "mask": ["a.nii.gz", "b.nii.gz", None]}).write_parquet(
        folder / "t.parquet"
    )
    counts = {}
    assert masks_of(folder, folder / "t.parquet", counts) == {"v1": "a.nii.gz"}
    assert counts == {USED: 1, "names nothing of the delivery": 1, "names no mask": 1}


def test_shard_looks_for_the_masks_of_its_own_volumes_only(folder, monkeypatch):
    table = (
        "volume,mask\n" + "".join(f"other/{n}.nii.gz,far/{n}.nii.gz\n" for n in range(500)) + "ct/one,sub/c.nii.gz\n"
    )
    looked = []
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path: looked.append(path.name) or is_file(path))
    assert masks_of(folder, table) == {"v1": "sub/c.nii.gz"}
    assert sorted(looked) == ["c.nii.gz", "masks.csv", "sub"]


@pytest.mark.parametrize(("number", "mask"), [(errno.EIO, "m.nii.gz"), (errno.ENAMETOOLONG, "mask_missing")])
def test_mask_whose_state_the_storage_cannot_tell_is_there(number, mask, folder, monkeypatch):
    is_file = Path.is_file

    def asked(path):
        if path.name == "m.nii.gz":
            raise OSError(number, os.strerror(number))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", asked)
    assert masks_of(folder, "dicom,mask\nct,m.nii.gz\n") == {"v1": mask, "v2": mask}
