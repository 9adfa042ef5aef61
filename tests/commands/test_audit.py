import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.cli import main
from refrad.dataset.shard_io import read_rows
from refrad.reporting.audit_sheet import CaptionedImage, precision_of, sample_triplets


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
    chosen = sample_triplets(read_rows([images], CaptionedImage), 10, 0)
    assert [(row["image_id"], row["caption"]) for row in rows] == [(name, c["caption"]) for name, c in chosen]


def test_sheet_is_closed_to_others(sheet):
    assert {path.stat().st_mode & 0o777 for path in sheet.iterdir()} == {0o600}


def test_pairs_are_equally_likely(images):
    rows = list(read_rows([images]))[:3]
    rows[0]["captions"] *= 4
    rows[0]["captions"] = [caption | {"caption": f"x{n}"} for n, caption in enumerate(rows[0]["captions"])]
    first = [sample_triplets(rows, 1, seed)[0][0] for seed in range(90)]
    assert 45 <= first.count("i0000") <= 75  # four of six pairs
    assert len({caption["caption"] for _, caption in sample_triplets(rows, 99, 0)}) == 6


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
