import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories.dataset import describe_dataset
from tests.factories.images import SIDE, image_row, png_bytes

from refrad.cli import main
from refrad.dataset.image_codec import window_image
from refrad.dataset.shard_io import read_rows, read_source_fingerprints, write_shard
from refrad.dicom.slices import image_at
from refrad.dicom.windows import MEDGEMMA_WINDOWS
from refrad.reporting.audit_sheet import CaptionedImage, precision_of, sample_triplets
from refrad.workflow.fingerprint import Fingerprint


@pytest.fixture(scope="module")
def sheet(tmp_path_factory, images, root):
    folder = tmp_path_factory.mktemp("audit")
    schema = str(root / "workflow" / "anatomy" / "classes.yaml")
    assert main(["audit", "--images", str(images), "--out", str(folder), "--count", "10", "--schema", schema]) == 0
    return folder


def rows_of(folder):
    with (folder / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def returned(folder, marks, delimiter=","):
    lines = [delimiter.join(("number", "image_id", "caption", "right", "comment"))]
    lines += [delimiter.join((str(n), "i", "c", mark, "")) for n, mark in enumerate(marks, 1)]
    path = folder / "returned.csv"
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    return path


def test_page_and_table_number_the_same_triplets(sheet, images):
    page = (sheet / "sheet.html").read_text()
    rows = rows_of(sheet)
    assert [row["number"] for row in rows] == [str(n) for n in range(1, 11)] and page.count("<article") == 10
    assert {row["right"] for row in rows} == {""}
    chosen = sample_triplets([read_rows([images], CaptionedImage)], 10, 0)
    assert [(row["image_id"], row["caption"]) for row in rows] == [(t.image_id, t.caption["caption"]) for t in chosen]
    assert {(row["shard"], row["volume"]) for row in rows} == {("images.parquet", "v")}
    for row in rows:
        assert f"<code>{row['image_id']}</code>" in page and f"<code>{row['patient']}</code>" in page
    assert "<code>refrad review</code>" in page and "px: the volume is not in the store" in page
    assert page.count("edges: left R, right L, top A, bottom P") == 10


def test_image_in_two_deliveries_is_two_images(tmp_path, images, schema, root):
    """Both deliveries have the image, with different captions."""
    rows = list(read_rows([images]))[:3]
    fingerprint = read_source_fingerprints(images)["shards"]
    for delivery in ("a", "b"):
        renamed = [
            row | {"captions": [row["captions"][0] | {"caption": f"{delivery}{row['image_id']}"}]} for row in rows
        ]
        write_shard(tmp_path / "shards" / "data" / delivery / "0" / "train.parquet", renamed, schema, fingerprint)
    describe_dataset(tmp_path / "shards", sorted((tmp_path / "shards").rglob("*.parquet")))
    out, classes = tmp_path / "audit", str(root / "workflow" / "anatomy" / "classes.yaml")
    assert main(["audit", "--images", str(tmp_path / "shards"), "--out", str(out), "--schema", classes]) == 0
    found = {(row["shard"], row["caption"]) for row in rows_of(out)}
    assert found == {(f"data/{d}/0/train.parquet", f"{d}{row['image_id']}") for d in "ab" for row in rows}
    assert (out / "sheet.html").read_text().count("<article") == 6


def test_sheet_has_full_resolution_and_sides_where_the_volumes_are(tmp_path, study, schema, root, capsys):
    square = window_image(image_at(study.values, 2), "CT", MEDGEMMA_WINDOWS, SIDE)
    row = image_row(0, "train", np.random.default_rng(0)) | {"width": 32, "height": 24, "index": 2}
    row["image"] = {"bytes": png_bytes(square.transpose(1, 2, 0)), "path": None}
    row["structures"] = []
    fingerprint = Fingerprint("shards", 1, {"windows": MEDGEMMA_WINDOWS, "image_size": SIDE}, {})
    write_shard(tmp_path / "shards" / "data" / "a" / "0" / "train.parquet", [row], schema, fingerprint)
    describe_dataset(tmp_path / "shards", sorted((tmp_path / "shards").rglob("*.parquet")))
    options = ["--images", str(tmp_path / "shards"), "--out", str(tmp_path / "audit")]
    options += ["--schema", str(root / "workflow" / "anatomy" / "classes.yaml"), "--volumes", str(study.folder)]
    assert main(["audit", *options, "--volume-store", str(study.volume_store)]) == 0
    page = (tmp_path / "audit" / "sheet.html").read_text()
    assert "edges: left R, right L, top A, bottom P" in page and "picture of the dataset" not in page
    assert main(["audit", *options, "--volume-store", str(tmp_path / "none")]) == 0
    page = (tmp_path / "audit" / "sheet.html").read_text()
    assert "picture of the dataset" in page and "edges: left R, right L, top A, bottom P" in page
    assert "1 of them have the small picture of the dataset" in capsys.readouterr().out


def test_sheet_is_closed_to_others(sheet):
    assert {path.stat().st_mode & 0o777 for path in sheet.iterdir()} == {0o600}


def test_pairs_are_equally_likely(images):
    rows = list(read_rows([images]))[:3]
    rows[0]["captions"] *= 4
    rows[0]["captions"] = [caption | {"caption": f"x{n}"} for n, caption in enumerate(rows[0]["captions"])]
    first = [sample_triplets([rows], 1, seed)[0].image_id for seed in range(90)]
    assert 45 <= first.count("i0000") <= 75  # four of six pairs
    assert len({triplet.caption["caption"] for triplet in sample_triplets([rows[:1], rows[1:]], 99, 0)}) == 6


def test_precision_of_a_ticked_sheet_has_an_interval(tmp_path, capsys):
    path = returned(tmp_path, ["yes"] * 96 + ["no"] * 4 + [""] * 5)
    assert main(["audit", "--sheet", str(path), "--out", str(tmp_path)]) == 0
    # Wilson score interval of 96 of 100, as in Newcombe (1998)
    assert "precision 0.960 (95% interval 0.902 to 0.984, Wilson); 5 not judged" in capsys.readouterr().out
    assert (tmp_path / "precision.json").exists()


@given(st.lists(st.sampled_from(["Ja", "nein ", "YES", "no", "x", ""]), min_size=1), st.sampled_from([",", ";"]))
def test_marks_of_people_and_spreadsheets_are_read(tmp_path_factory, marks, delimiter):
    path = returned(tmp_path_factory.mktemp("sheet"), [*marks, "yes"], delimiter)
    precision = precision_of(path.read_text(encoding="utf-8-sig"), path.name)
    assert precision.right == 1 + sum(mark.strip().lower() in {"ja", "yes", "x"} for mark in marks)
    assert precision.not_judged == marks.count("") and 0 <= precision.low <= precision.share <= precision.high <= 1


@pytest.mark.parametrize(
    ("marks", "words"), [(["yes", "perhaps"], "see number 2"), (["", ""], "is empty"), ([], "no column right")]
)
def test_unreadable_sheet_is_refused_with_the_reason(tmp_path, capsys, marks, words):
    assert main(["audit", "--sheet", str(returned(tmp_path, marks)), "--out", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err
