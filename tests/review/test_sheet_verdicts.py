"""Verdicts from a ticked sheet of `refrad audit`."""

import polars as pl
import pytest

from refrad.review.item_index import ItemIndex
from refrad.review.item_tables import ITEM_COLUMNS
from refrad.review.sheet_verdicts import verdicts_of_sheet
from refrad.review.suspicion import MARK_COLUMNS


@pytest.fixture
def index():
    more = {"delivery": "clinic", "shard": 2, "patient": "0a", "item": "caption"}
    rows = [
        dict.fromkeys(ITEM_COLUMNS) | more | {"image_id": f"i{n}", "item_id": f"c{n}", "digest": f"d{n}"}
        for n in range(4)
    ]
    return ItemIndex(pl.DataFrame(rows, schema=ITEM_COLUMNS), pl.DataFrame(schema=MARK_COLUMNS))


def sheet(*rows):
    return "\n".join(["number;image_id;caption;digest;right;comment", *rows])


def test_marks_become_verdicts_of_the_random_sample(index):
    text = sheet("1;i0;c0;d0;ja;", "2;i1;c1;d1;no;wrong slice", "3;i2;c2;d2;;")
    verdicts, changed = verdicts_of_sheet(text, "sheet.csv", "AB", index)
    assert [(v.item_id, v.verdict, v.reason, v.queue) for v in verdicts] == [
        ("c0", "accept", "", "random"),
        ("c1", "reject", "wrong slice", "random"),
    ]
    assert changed == 0 and (verdicts[0].delivery, verdicts[0].shard, verdicts[0].patient) == ("clinic", 2, "0a")


def test_marks_on_changed_or_missing_pairs_are_counted(index):
    text = sheet("1;i0;c0;old;yes;", "2;i9;c9;d9;no;", "3;i1;c1;d1;yes;")
    verdicts, changed = verdicts_of_sheet(text, "sheet.csv", "AB", index)
    assert [verdict.item_id for verdict in verdicts] == ["c1"] and changed == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("number,image_id,caption,right,comment\n1,i0,c0,yes,", "no column digest, as in sheets of earlier releases"),
        ("number,image_id,caption,digest,right,comment\n1,i0,c0,d0,maybe,", "see number 1"),
        ("x\n1", "no column right"),
    ],
)
def test_sheet_that_cannot_be_used_is_one_line(index, text, words):
    with pytest.raises(ValueError, match=words):
        verdicts_of_sheet(text, "sheet.csv", "AB", index)
