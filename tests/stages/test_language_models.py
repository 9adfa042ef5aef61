"""Captions and mentions with a language model, over a real connection."""

import json

import pytest
from tests.factories import ReportDelivery, fingerprint, report_row
from tests.llm.talking import TASKS, answering, llm_line

from refrad.core.contracts import CaptionTable, MentionTable
from refrad.core.tables import read_table
from refrad.llm import ModelError
from refrad.reporting.run_summary import backend_of
from refrad.workflow.fingerprint import Fingerprint

REPORT = """Befund:
Zyste der linken Niere, von 11 auf 15 mm gewachsen (Se 3, IMA 5). Im Vergleich zur Voruntersuchung keine Änderung.
Milz unverändert normal. Patientin Erika Beispielfrau: Leber normal.
"""
REWRITTEN = {
    "Zyste der linken Niere, von 11 auf 15 mm gewachsen.": "Zyste der linken Niere, 15 mm.",
    "Im Vergleich zur Voruntersuchung keine Änderung.": "",
    "Milz unverändert normal.": "Milz normal.",
}
ENGLISH = {"Zyste der linken Niere, 15 mm.": "Cyst of the left kidney, 15 mm.", "Milz normal.": "Spleen normal."}


def answer(data):
    """A model that does well, but always lies about the liver."""
    if "kind" in data:
        return {"errors": [], "score": 5}
    sentence = data["sentence"]
    if "Leber" in sentence:
        return {"sentence": "Milz normal."}
    return {"sentence": ENGLISH.get(sentence, REWRITTEN.get(sentence, sentence))}


@pytest.fixture
def asked(tmp_path, root):
    """The function that runs stage captions on REPORT with models; the server comes back as well."""

    def start(**options):
        delivery = ReportDelivery(tmp_path)
        with answering(answer) as server:
            line = llm_line(server, root, tmp_path, TASKS)
            made = delivery.run([report_row(REPORT)], fingerprint=fingerprint("captions", **options), llm=line)
        return made, delivery, server

    return start


def test_comparisons_are_removed_and_empty_sentences_dropped(asked):
    made, delivery, _ = asked(rewrite="llm")
    assert made["text"].to_list()[:2] == ["Zyste der linken Niere, 15 mm.", "Milz normal."]
    assert set(made["rewriter"][:2]) == {"wise-1b: rewritten"}
    assert delivery.metrics["flow"]["aside"] == {"only_comparison": 1}


def test_rules_replace_a_failed_rewrite_and_the_row_has_it(asked):
    made, delivery, _ = asked(rewrite="llm")
    (liver,) = made.filter(made["text"].str.contains("Leber")).to_dicts()
    assert liver["rewriter"] == "rules: unchanged, after wise-1b failed"
    assert delivery.metrics["tables"]["asked: rewrite"] == {"answered": 3, "failed: check_failed": 1}
    assert delivery.metrics["tables"]["tokens"] == {"rewrite, prompt": 50, "rewrite, answer": 25}


def test_translation_is_a_separate_row_with_the_same_images(asked):
    made, delivery, _ = asked(rewrite="llm", translate="llm")
    english = made.filter(made["language"] == "en")
    assert english["text"].to_list() == list(ENGLISH.values())
    assert set(english["translator"]) == {"wise-1b"} and set(made.filter(made["language"] == "de")["translator"]) == {
        "source"
    }
    both = made.filter(made["sentence"] == english["sentence"][0])
    assert len(both) == 2 and set(delivery.named["caption"]) == set(both["caption"])
    assert delivery.metrics["flow"]["used"] == 3
    assert delivery.metrics["tables"]["translation"] == {"translated": 2, "failed": 1}


def test_judge_scores_a_sample_and_scores_are_counted(asked):
    _, delivery, _ = asked(rewrite="llm", translate="llm", judge=2)
    assert delivery.metrics["tables"]["judged: rewrite"] == {"score 5": 2}
    assert delivery.metrics["tables"]["judged: translate"] == {"score 5": 2}


def test_model_requests_hold_no_scrubbed_name(asked):
    _, _, server = asked(rewrite="llm", translate="llm", judge=9)
    seen = json.dumps(server.bodies, ensure_ascii=False)
    assert "[NAME]" in seen and "Erika" not in seen and "Beispielfrau" not in seen


MENTIONED = {
    "Zyste der linken Niere.": [{"span": "linken Niere", "classes": ["kidney_left"], "assertion": "present"}],
    "Milz nicht ganz normal.": [{"span": "Milz", "classes": ["spleen"], "assertion": "negated"}],
    "Rechte Niere frei.": [{"span": "Rechte Niere", "classes": ["kidney_left"], "assertion": "present"}],
}


@pytest.fixture
def found(study, root, tmp_path):
    """The function that runs stage mentions with a model that turns the side of the right kidney."""

    def run(finder):
        study.write(CaptionTable, "captions", [study.caption(text, text, language="de") for text in MENTIONED])
        with answering(lambda data: {"mentions": MENTIONED[data["sentence"]]}) as server:
            metrics = study.run(
                "mentions",
                {"finder": finder},
                lexicon=root / "workflow" / "anatomy" / "lexicon.yaml",
                llm=llm_line(server, root, tmp_path, TASKS),
            )
        return read_table(study.path("mentions"), MentionTable).to_dicts(), metrics

    return run


def test_model_mentions_have_a_backend_and_wrong_ones_are_out(found):
    rows, metrics = found("llm")
    assert [(row["text"], row["class_id"], row["backend"]) for row in rows] == [
        ("linken Niere", 3, "wise-1b"),
        ("Milz", 1, "wise-1b"),
    ]
    assert metrics["flow"] == {"taken": 3, "used": 2, "aside": {"model_failed": 1}}


def test_lexicon_replaces_failures_and_disagreement_is_counted(found):
    rows, metrics = found("both")
    assert [row["backend"] for row in rows] == ["wise-1b", "wise-1b", "lexicon"]
    assert metrics["tables"]["found by"] == {"wise-1b": 2, "lexicon, after wise-1b failed": 1}
    compared = metrics["tables"]["classes in a caption, model and lexicon"]
    assert compared["both, asserted differently"] == 1 and compared["both, asserted alike"] == 1


def test_stage_without_its_model_stops_with_the_key(study, root):
    study.write(CaptionTable, "captions", [study.caption("c", "Liver.")])
    lexicon = root / "workflow" / "anatomy" / "lexicon.yaml"
    with pytest.raises(ModelError, match=r"llm\.mentions"):
        study.run("mentions", {"finder": "llm"}, lexicon=lexicon, llm=None)


def test_pages_name_the_model_of_a_backend():
    options = {"rewrite": "llm", "translate": "none", "judge": 0}
    asked = Fingerprint("captions", 1, options, {}, {"rewrite": {"model": "wise-1b"}})
    assert (backend_of(asked, "rewrite"), backend_of(asked, "translate")) == ("llm: wise-1b", "none")
