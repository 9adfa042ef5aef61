import polars as pl
import pytest
import yaml

from refrad.anatomy.schema import load_schema
from refrad.core.contracts import CaptionTable, MentionTable
from refrad.reporting.pages import StageExtras, render_stage
from refrad.reporting.sentence_index import sample_questions, sample_sentences
from refrad.workflow.fingerprint import Fingerprint


def tables(study):
    captions = [study.caption("c1", "Leber & Milz normal.", language="de"), study.caption("c2", "No fluid.")]
    mentions = study.mention("c1", "Leber & Milz normal.", "Leber", 5) + study.mention(
        "c1", "Leber & Milz normal.", "Milz", 1, assertion="absent"
    )
    return [
        pl.scan_parquet(study.write(contract, name, rows))
        for contract, name, rows in ((CaptionTable, "captions", captions), (MentionTable, "mentions", mentions))
    ]


def test_sentences_of_all_languages_have_marked_mentions(study):
    samples = sample_sentences(*tables(study), 10, load_schema(study.schema))
    assert [(sample.language, sample.section, sample.tie) for sample in samples] == [
        ("de", "findings", "structure"),
        ("en", "findings", "structure"),
    ]
    first, second = samples
    assert first.text.count("<mark") == 2 and "&amp;" in first.text
    assert first.mentions == [("Leber", "liver", "present"), ("Milz", "spleen", "absent")]
    assert not second.mentions


def test_sentences_are_as_many_as_requested(study):
    assert sample_sentences(*tables(study), 0, load_schema(study.schema)) == []
    (sample,) = sample_sentences(*tables(study), 1, load_schema(study.schema))
    assert sample.language == "de"


def metrics_of(stage):
    flow = {"taken": 1, "used": 1, "aside": {}}
    values = {"stage": stage, "fingerprint": Fingerprint(stage, 1, {"a": {"b": [1, 2], "c": None}}, {}).text}
    return values | {"flow": flow, "unit": "captions", "made": {}, "tables": {}, "seconds": {"total": 1.0}}


@pytest.mark.parametrize("stage", ["captions", "mentions"])
def test_pages_show_sentences_on_request_only(study, root, stage):
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    assert config["report"]["sentences"] == 0
    samples = sample_sentences(*tables(study), 10, load_schema(study.schema))
    for chosen in (samples, []):
        extras = StageExtras(**{{"captions": "captions", "mentions": "samples"}[stage]: chosen})
        text = render_stage(stage, metrics_of(stage), [], extras, [stage])
        assert ("normal." in text) is bool(chosen)
        assert "Leber &amp; Milz" in text or "<mark" in text or not chosen


def question(kind, language, number):
    facts = {"topic": "findings", "kind": kind, "language": language, "choices": [], "backend": "templates"}
    return facts | {"question": f"{kind} {language} {number}?", "answer": "<b>yes</b>"}


def test_sample_questions_take_kinds_and_languages_in_turn():
    kinds = [("open", "de"), ("yesno", "de"), ("yesno", "en")]
    rows = [
        {"image_id": f"i{n}", "questions": [question(kind, language, n) for kind, language in kinds]} for n in range(3)
    ]
    samples = sample_questions([*rows, {"image_id": "x", "questions": None}], 4)
    assert [(image, sample["question"]) for image, sample in samples] == [
        ("i0", "open de 0?"),
        ("i0", "yesno de 0?"),
        ("i0", "yesno en 0?"),
        ("i1", "open de 1?"),
    ]
    assert sample_questions(rows, 0) == [] == sample_questions([], 4)
    text = render_stage("vqa", metrics_of("vqa"), [], StageExtras(questions=samples), ["vqa"])
    assert "yesno en 0?" in text and "&lt;b&gt;yes" in text and "<b>yes" not in text
