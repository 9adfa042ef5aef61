"""Names of this project for the labelled cases of ../shared/cases/language: functions of its score.py under the same names.

score.py executes this file in its own namespace after its own functions; `lexicon`, `schema` and `PROMPTS` are its.
"""

# ruff: noqa: F821

import json
import tempfile
from collections import defaultdict
from functools import cache
from pathlib import Path
from types import SimpleNamespace

HEADER = ("patient_id", "patient_name", "birth_date", "accession_number", "study_uid", "names", "institution")


def language_of(text):
    """The language that the project detects."""
    from refrad.language.sections import detect_language

    return detect_language(text)


def mentions(sentence, language):
    """Mentions as (start, end, classes, assertion)."""
    from refrad.language.mention_finder import find_mentions

    return [
        (mention.start, mention.end, set(mention.classes), mention.assertion)
        for mention in find_mentions(sentence, language, lexicon())
    ]


def captions(text, series, known):
    """Captions of a report, by rules alone: (section, text, language, references); and texts of indication and question."""
    from refrad.config import CaptionsOptions
    from refrad.language.captions import CaptionBuilder
    from refrad.language.sections import is_heading
    from refrad.privacy.known_identifiers import collect_identifiers
    from refrad.sources.reports import read_reports
    from refrad.workflow.tally import Tally

    studies = SimpleNamespace(
        shard=1,
        study_of=lambda _: "study",
        shard_of={"study": 1},
        patient_of={"study": "patient"},
        with_images={"study"},
        series_of={"study": {entry["number"] for entry in series}},
        instances_of={},
        identifiers=lambda _: collect_identifiers([{name: known.get(name, "") for name in HEADER}]),
        outcome=lambda *_: "found",
    )
    options = CaptionsOptions.model_validate({"rewrite": "rules", "translate": "none"})
    pseudonyms = SimpleNamespace(report=lambda _: "report")
    builder = CaptionBuilder(studies, pseudonyms, {}, lexicon(), options, Tally("sentences"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reports.jsonl"
        row = {"report_id": "r", "accession_number": "a", "text": text}
        path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
        for report in read_reports(path, is_heading):
            builder.add_report(report)
    images = defaultdict(list)
    for reference in builder.references:
        numbers = (reference["series_number"], reference["image_first"], reference["image_last"])
        images[reference["caption"]].append((*numbers, reference.get("plane")))
    rows = [(row["section"], row["text"], row["language"], images[row["caption"]]) for row in builder.captions]
    context = {row[name] for row in builder.captions for name in ("indication", "question") if row[name]}
    return rows, sorted(context)


def refusal_of_sentence(task, language, before, after):
    """Why a rewritten or translated sentence is refused, or None."""
    from refrad.statements.rewriting_checks import check_rewriting
    from refrad.statements.translation_checks import check_translation

    if task == "rewrite":
        return check_rewriting(before, after, language, lexicon())
    return check_translation(before, after, language, {"de": "en", "en": "de"}[language], lexicon())


def refusal_of_mentions(language, sentence, answer):
    """Why a model's mentions are refused, or None."""
    from refrad.language.llm_mentions import mentions_task
    from refrad.llm import Request
    from refrad.llm.tasks import BadAnswer

    task = _mentions_task(mentions_task)
    try:
        task.read(json.dumps({"mentions": answer}), Request(language, {"sentence": sentence}))
    except BadAnswer as error:
        return str(error)
    return None


@cache
def _mentions_task(make):
    return make(SimpleNamespace(prompts=PROMPTS), lexicon(), schema())


def refusal_of_qa(language, facts, answer):
    """Why a model's question-answer pair is refused, or None."""
    from refrad.grounding.vqa_checks import ImageFacts, VqaPair

    classes = schema().by_name
    named = {
        classes[name].id
        for sentence in facts["sentences"]
        for _, _, names, _ in mentions(sentence, language)
        for name in names
        if name in classes
    }
    image = ImageFacts(
        "image",
        facts.get("modality", "CT"),
        facts.get("plane", "axial"),
        None,
        {classes[name].id: 500 for name in facts["visible"]},
        {language: sorted(named)},
        {},
        {language: facts["sentences"]},
    )
    pair = VqaPair(
        language,
        "findings",
        answer["kind"],
        answer["question"],
        tuple(answer["choices"]),
        answer["answer"],
        "model",
        answer["evidence"],
    )
    return _checks().check_pair(pair, image)


@cache
def _checks():
    from refrad.grounding.vqa_checks import VqaChecks

    return VqaChecks(schema(), lexicon())
