"""The layout of the paper's code with hard cases, run through our description of its loaders."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.dataset.exports.paper_loaders import PaperLoaders
from tests.factories import image_row

from refrad.dataset.exports.authors import export
from refrad.dataset.exports.authors_keywords import keywords_of, masks_are_in_order
from refrad.dataset.exports.export_tally import ExportTally
from refrad.dataset.exports.source import ExportSource
from refrad.dataset.shard_io import write_shard
from refrad.dicom.volume_store import store_volume
from refrad.workflow.fingerprint import Fingerprint

NAMES = {1: "spleen", 2: "kidney_right", 3: "kidney_left", 5: "liver", 118: "lung_left", 119: "lung_right"}


def entity(text, phrase, class_id, side=10, nth=0):
    start = [place for place in range(len(text)) if text.startswith(phrase, place)][nth]
    box = {"x_min": 0, "y_min": 0, "x_max": side, "y_max": side}
    return box | {"start": start, "end": start + len(phrase), "text": phrase, "class_id": class_id, "via": "exact"}


def keywords(text, *entities):
    tally = ExportTally()
    tally.delivered["phrases"] = len(entities)
    found = keywords_of({"text": text, "entities": list(entities)}, NAMES, tally)
    tally.check()
    return found


LUNGS = "Lunge links und Lunge rechts frei."
KIDNEYS = "Nieren o. B., Niere rechts klein, linke Niere groß, Niere."
DOUBLE = "Leber normal groß, Leber homogen."


@pytest.mark.parametrize(
    ("text", "entities", "words"),
    [
        ("Lungen frei.", [("Lungen", 118, 20), ("Lungen", 119, 30)], [["Lungen", "lung_right", 119]]),
        ("Lungen frei.", [("Lungen", 119, 20), ("Lungen", 118, 20)], [["Lungen", "lung_left", 118]]),
        ("Linke Niere, Niere.", [("Linke Niere", 3, 10), ("Niere", 3, 10)], [["Linke Niere", "kidney_left", 3]]),
        ("Leberzyste, Leber.", [("Leber", 5, 10, 1)], [["Leber", "liver", 5]]),
        ("Leberzyste.", [("Leber", 5, 10)], []),
        ("Leber (S1) o. B.", [("Leber (S1)", 5, 10)], []),
        (DOUBLE, [("Leber", 5, 10), ("Leber", 5, 10, 1)], [["Leber", "liver", 5]]),
        (DOUBLE, [("Leber", 5, 10)], []),
        ("Niere rechts, Niere links.", [("Niere", 2, 10), ("Niere", 3, 10, 1)], []),
        ("Leber und Milz.", [("Milz", 1, 10), ("Leber", 5, 10)], [["Leber", "liver", 5], ["Milz", "spleen", 1]]),
        ("Keine Auffälligkeit.", [], []),
        ("BWK 11,5 gesintert.", [("BWK 11,5", 5, 10)], []),
        ("Leber und\xa0Milz.", [("und\xa0Milz", 1, 10)], []),
    ],
    ids=[
        "several classes, the largest",
        "several classes of one size",
        "within a longer one",
        "part of a longer word elsewhere",
        "part of a word",
        "ends with a bracket",
        "twice the same",
        "once grounded, once not",
        "two sides by one word",
        "in the order of the text",
        "none",
        "cleaned by the loaders",
        "with an odd space",
    ],
)
def test_keywords_are_phrases_that_loaders_can_box(text, entities, words):
    assert keywords(text, *(entity(text, *arguments) for arguments in entities)) == words


@pytest.mark.parametrize(
    ("text", "keywords", "right"),
    [
        ("Linke Niere und Milz.", [("Linke Niere", 3), ("Milz", 1)], True),
        ("Milz und linke Niere.", [("Milz", 1), ("linke Niere", 3)], False),
        ("Leber, Milz.", [("Leber", 5), ("Milz", 1)], True),
        ("Leberzyste. Leber, Milz.", [("Leber", 5), ("Milz", 1)], False),
        ("Milz, Milz und Leber.", [("Milz", 1), ("Leber", 5)], False),
        ("Ohne Befund.", [], True),
    ],
    ids=["longest first", "longest last", "in order", "a longer word before", "twice", "none"],
)
def test_masks_that_loaders_pair_with_another_keyword_are_known(text, keywords, right):
    assert masks_are_in_order([[words, NAMES[class_id], class_id] for words, class_id in keywords], text) == right


WORDS = st.sampled_from(["Leber", "Milz", "linke", "Niere", "Nieren", "o.B.", "(S1)", "Th12/L1", "groß"])


def test_marks_between_words_are_no_keywords():
    text = "Th12/L1"
    assert keywords(text, entity(text, "Th12", 2), entity(text, "/", 2)) == [["Th12", NAMES[2], 2]]


@given(st.lists(WORDS, min_size=1, max_size=7), st.data())
def test_loaders_tag_each_keyword_and_nest_none(words, data):
    text = " ".join(words)
    entities = []
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        class_id = data.draw(st.sampled_from(sorted(NAMES)))
        box = {"x_min": 0, "y_min": 0, "x_max": 5, "y_max": 5}
        entities.append(
            box | {"start": start, "end": end, "text": text[start:end], "class_id": class_id, "via": "exact"}
        )
    found = keywords(text, *entities)
    loaders = PaperLoaders.__new__(PaperLoaders)
    loaders.classes = {name: class_id for class_id, name in NAMES.items()}
    boxes = [[0, 0, 5, 5, class_id] for class_id in NAMES]
    loaders.indexed = {"i": {"bboxes": boxes, "keywords_eng": found, "keywords_de": found}}
    loaders.rows = {
        "i": {
            "english": {
                "CleanedSentence": text,
                "ReportFragestellungCleaned": "",
                "ReportKlinischeAngabenCleaned": "",
            }
        }
    }
    tagged, _ = loaders.detection("i", "english")
    assert len(found) == len({keyword[0] for keyword in found}) and tagged.count("<box") >= len(found)


def bilingual_row(number, modality, sentences=("s",), split="train", questions=True):
    """A row whose sentences are there in both languages."""
    row = image_row(number, split, np.random.default_rng(number)) | {"modality": modality, "volume": modality}
    english, question = row["captions"][0], row["questions"][0]
    german = english | {"language": "de", "text": "Leber und Milz o. B."}
    german["entities"] = [english["entities"][0] | {"start": 0, "end": 5, "text": "Leber"}]
    row["captions"] = [text | {"sentence": name} for name in sentences for text in (english, german)]
    row["questions"] = [question, question | {"language": "de", "question": "Welche?"}] if questions else []
    return row


@pytest.fixture
def layout(tmp_path, schema, monkeypatch):
    """Export rows, and return the loaders, which run in another folder, and the tally."""

    def run(rows):
        write_shard(tmp_path / "images.parquet", rows, schema, Fingerprint("shards", 2, {}, {}))
        values = np.random.default_rng(0).integers(0, 900, (64, 64, 40)).astype(np.int16)
        _, file = store_volume(values, np.eye(4), tmp_path)
        out = tmp_path / "out"
        source = ExportSource(
            files=[tmp_path / "images.parquet"],
            splits=["train"],
            class_names={entry.id: entry.name for entry in schema.classes},
            volume_files=dict.fromkeys(("CT", "MR"), tmp_path / file),
            folder=out,
        )
        export(source, out)
        source.tally.check()
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        return PaperLoaders(out), source.tally

    return run


def test_loaders_serve_every_sample_of_every_split(layout):
    rows = [
        bilingual_row(number, modality, split=split)
        for number, (modality, split) in enumerate(
            [("CT", "train"), ("MR", "train"), ("CT", "validation"), ("MR", "test")]
        )
    ]
    loaders, _ = layout(rows)
    assert {split: sum(map(len, loaders.snippets(split).values())) for split in ("train", "val", "test")} == {
        "train": 2,
        "val": 1,
        "test": 1,
    }
    for split in ("train", "val", "test"):
        assert len(list(loaders.visible(split))) == len(loaders.snippets(split))
        for ids in loaders.snippets(split).values():
            for rsopid in ids:
                for language in ("english", "german"):
                    assert loaders.boxed(rsopid) and loaders.questions(rsopid, language)
                    assert loaders.detection(rsopid, language) and loaders.masks(rsopid, language)


def test_several_sentences_of_an_image_are_several_ids_of_one_file(layout):
    loaders, tally = layout([bilingual_row(0, "CT", ("a", "b"))])
    assert loaders.snippets("train") == {"a": ["i0000"], "b": ["i0000-2"]}
    assert np.array_equal(loaders.image("i0000"), loaders.image("i0000-2")) and tally.written["images"] == 1


def test_sentence_of_ct_and_mr_is_two_snippets(layout):
    loaders, _ = layout([bilingual_row(0, "CT"), bilingual_row(1, "MR")])
    assert loaders.snippets("train") == {"s": ["i0000"], "s-mr": ["i0001"]}


def test_image_of_two_deliveries_has_two_ids(layout):
    loaders, _ = layout([bilingual_row(0, "CT"), bilingual_row(0, "CT")])
    assert loaders.snippets("train") == {"s": ["i0000", "i0000-2"]}


def test_images_without_questions_are_left_out_if_others_have_some(layout):
    loaders, tally = layout([bilingual_row(0, "CT"), bilingual_row(1, "CT", questions=False)])
    assert list(loaders.rows) == ["i0000"] and tally.left_out.total() > 0


def test_dataset_without_questions_is_exported_with_advice(layout):
    loaders, tally = layout([bilingual_row(0, "CT", questions=False)])
    assert list(loaders.rows) == ["i0000"]
    assert any('question_types="report"' in line for line in tally.lines())
