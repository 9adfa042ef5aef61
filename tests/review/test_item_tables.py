"""The tables of a file: each caption, question and phrase of its rows, as a row read by itself has them."""

import numpy as np
import pytest
from tests.factories import image_row

from refrad.dataset.shard_io import read_rows, write_shard
from refrad.review.item_tables import ITEM_COLUMNS, PHRASE_COLUMNS, tables_of_file
from refrad.review.items import caption_digest, question_digest, question_id
from refrad.workflow.fingerprint import Fingerprint


def made_rows():
    """Images of which one has no spacing and no mask of its second phrase, one no questions, one two captions."""
    rng = np.random.default_rng(1)
    rows = [image_row(number, "train", rng) for number in range(4)]
    rows[1] |= {"spacing_x": None, "structures": rows[1]["structures"][:1], "provenance": None}
    rows[2]["questions"] = []
    more = {
        "caption": "c3b",
        "language": "de",
        "text": "Leber GROẞ, o.\u00a0B.",
        "entities": rows[3]["captions"][0]["entities"][:1],
    }
    rows[3]["captions"].append(rows[3]["captions"][0] | more)
    rows[3]["questions"].append(rows[3]["questions"][0] | {"kind": "multiple", "choices": ["CT", "MR"]})
    return rows


@pytest.fixture
def path(tmp_path, schema):
    path = tmp_path / "data" / "clinic" / "7" / "train.parquet"
    write_shard(path, made_rows(), schema, Fingerprint("x", 1, {}, {}))
    return path


def test_items_are_those_of_the_rows(path):
    tables = tables_of_file(path)
    assert dict(tables.items.schema) == dict(ITEM_COLUMNS) and dict(tables.phrases.schema) == dict(PHRASE_COLUMNS)
    rows = list(read_rows([path]))
    captions = [
        (row["image_id"], c["caption"], caption_digest(row["image_id"], c)) for row in rows for c in row["captions"]
    ]
    questions = [
        (row["image_id"], question_id(q), question_digest(row["image_id"], q)) for row in rows for q in row["questions"]
    ]
    for item, expected in (("caption", captions), ("question", questions)):
        items = tables.items.filter(item=item)
        assert items.select("image_id", "item_id", "digest").rows() == expected
        assert set(items.select("delivery", "shard", "file").rows()) == {("clinic", 7, str(path))}
    assert set(tables.items["finder"]) == {row["provenance"]["mentions"] if row["provenance"] else None for row in rows}


def test_search_has_text_choices_and_answer_in_lower_case(path):
    items = tables_of_file(path).items
    assert items.filter(item_id="c3b")["search"].to_list() == ["leber groß, o.\u00a0b."]
    assert items.filter(item="question")["search"].to_list()[-1] == "which imaging modality is this? ct mr ct"


def test_phrases_have_place_and_area(path):
    rows = list(read_rows([path]))
    phrases = tables_of_file(path).phrases
    assert len(phrases) == sum(len(caption["entities"]) for row in rows for caption in row["captions"])
    of_second = phrases.filter(image_id="i0001")
    assert of_second["entity"].to_list() == [0, 1]
    assert of_second["area_mm2"].to_list() == [400 * rows[1]["spacing_y"]] * 2  # the second is the area of its box
    entity = rows[0]["captions"][0]["entities"][1]
    x, y, area = phrases.filter(image_id="i0000", entity=1).select("x", "y", "area_mm2").row(0)
    assert (x, y) == pytest.approx(((entity["x_min"] + 10) / 64, (entity["y_min"] + 10) / 64))
    assert area == pytest.approx(400 * rows[0]["spacing_x"] * rows[0]["spacing_y"])


def test_images_may_be_chosen(path):
    tables = tables_of_file(path, {"i0003", "other"})
    assert set(tables.items["image_id"]) == set(tables.phrases["image_id"]) == {"i0003"} and len(tables.items) == 4
    assert len(tables_of_file(path, set()).items) == 0
