import polars as pl
import yaml

from refrad.anatomy.schema import load_schema
from refrad.core.contracts import CaptionTable, MentionTable
from refrad.reporting.pages import render
from refrad.reporting.sentence_index import sample_sentences


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
    assert [sample.language for sample in samples] == ["de", "en"]
    first, second = samples
    assert first.text.count("<mark") == 2 and "&amp;" in first.text
    assert first.mentions == [("Leber", "liver", "present"), ("Milz", "spleen", "absent")]
    assert not second.mentions


def test_sentences_are_as_many_as_requested(study):
    assert sample_sentences(*tables(study), 0, load_schema(study.schema)) == []
    (sample,) = sample_sentences(*tables(study), 1, load_schema(study.schema))
    assert sample.language == "de"


def test_page_of_mentions_shows_sentences_on_request_only(study, root):
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    assert config["report"]["sentences"] == 0
    metrics = {
        "flow": {"taken": 1, "used": 1, "aside": {}},
        "unit": "captions",
        "made": {},
        "tables": {},
        "seconds": {"total": 1.0},
    }
    values = {
        "title": "mentions",
        "up": "../",
        "there": ["mentions"],
        "metrics": metrics,
        "shards": [],
        "made_with": "",
    }
    samples = sample_sentences(*tables(study), 10, load_schema(study.schema))
    for chosen in (samples, []):
        text = render("stage.html", **values, figures=[], cards=[], curve=None, samples=chosen)
        assert ("normal." in text) is bool(chosen)
