"""Stage vqa: question-answer pairs by templates or a model, and their checks."""

import json

import polars as pl
import pytest
from tests.llm.talking import TalkingServer, completion

from refrad.core.contracts import QuestionTable, SliceTable, VolumeTable
from refrad.core.tables import read_table

TEXT = "Liver and both kidneys are normal."


def ready(study):
    """Two images of the liver and both kidneys, one of them of a volume without contrast agent."""
    study.structures()
    plain = study.volume() | {"volume": "w", "contrast": False}
    study.write(VolumeTable, "volumes", [study.volume() | {"contrast": True}, plain])
    slices = [
        {"instance": f"i{k}", "volume": "vw"[k > 2], "axis": 2, "index": k, "instance_number": k + 1} for k in range(6)
    ]
    study.write(SliceTable, "slices", slices)
    study.grounded(
        [study.caption("c", TEXT)], study.mention("c", TEXT, "Liver", 5) + study.mention("c", TEXT, "kidneys", 2, 3)
    )


def ask(study, findings=5, metadata=3, **given):
    ready(study)
    return questions_of(study, findings, metadata, **given)


def questions_of(study, findings=5, metadata=3, **given):
    writer = "llm" if given else "templates"
    metrics = study.run("vqa", {"writer": writer, "findings": findings, "metadata": metadata}, **given)
    return metrics, read_table(study.path("questions"), QuestionTable)


def test_images_have_questions_in_the_language_of_their_captions(study):
    metrics, questions = ask(study)
    assert metrics["flow"]["used"] == questions["instance"].n_unique() > 0
    assert metrics["flow"]["taken"] == metrics["flow"]["used"] + metrics["flow"]["aside"].get("no_question", 0) == 2
    assert set(questions["language"]) == {"en"}
    assert set(questions["backend"]) == {"templates"}


def test_question_without_a_partner_is_not_asked(study):
    _, questions = ask(study)
    assert set(questions["question"]) == {"Was the image taken with or without contrast agent?"}


CYST = "Simple cyst of the left kidney, 14 mm."


@pytest.mark.parametrize(("tie", "sizes"), [("reference", ["14 mm"]), ("structure", [])])
def test_finding_is_asked_about_in_the_image_that_the_report_names(study, tie, sizes):
    study.structures()
    reference = {"caption": "c", "instance": None, "series_number": 3, "image_first": 3, "image_last": 3}
    mentions = study.mention("c", CYST, "cyst", 23) + study.mention("c", CYST, "left kidney", 3)
    study.grounded([study.caption("c", CYST, tie)], mentions, [reference])
    _, questions = questions_of(study)
    asked = questions.filter(question="How large is the cyst in the left kidney?")
    assert asked["answer"].to_list() == sizes and asked["reason"].null_count() == len(sizes)


def varied(study):
    """Five images of the liver whose captions name the left kidney too; some show both kidneys, some one, some none."""
    study.labels[3:8, 16:20, 1] = 0
    study.labels[26:30, 4:10, :2] = 1  # a spleen in the two lowest slices
    study.save_labels()
    study.structures()
    text = "Liver normal, cyst of the left kidney."
    numbers = range(1, 6)
    spans = [
        (f"c{number}", span, class_id) for number in numbers for span, class_id in (("Liver", 5), ("left kidney", 3))
    ]
    study.grounded(
        [study.caption(f"c{number}", text, "reference") for number in numbers],
        [row for caption, span, class_id in spans for row in study.mention(caption, text, span, class_id)],
        [
            {"caption": f"c{number}", "instance": None, "series_number": 3, "image_first": number, "image_last": number}
            for number in numbers
        ],
    )


def test_no_question_denies_what_a_caption_says(study):
    varied(study)
    _, questions = questions_of(study)
    denied = questions.filter(answer="no")["question"].to_list()
    assert denied and not [question for question in denied if "left kidney" in question]


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_number_of_questions_is_limited(study, limit):
    varied(study)
    _, questions = questions_of(study, findings=limit, metadata=0)
    counts = questions.group_by("instance").len()["len"]
    assert (counts.max() or 0) <= limit and bool(len(questions)) == bool(limit)


def test_number_of_questions_about_the_slice_is_limited(study):
    _, questions = ask(study, metadata=0)
    assert not len(questions)


def test_template_pairs_pass_their_checks(study):
    metrics, questions = ask(study)
    assert set(metrics["tables"]["checks"]) == {"passed"}
    assert questions["reason"].null_count() == len(questions) == metrics["made"]["questions"]


GOOD = {"kind": "open", "question": "Which organ is normal?", "choices": [], "answer": "the liver", "evidence": TEXT}
BAD = GOOD | {"question": "What is new compared to the prior study?"}


@pytest.fixture
def model(study, root, tmp_path):
    """The function that runs the stage with a server that gives these pairs."""
    servers = []

    def run(pairs, findings=2):
        servers.append(TalkingServer(lambda _: completion(json.dumps({"pairs": pairs}))))
        role = {"endpoint": servers[-1].endpoint, "model": "test-model"}
        llm = {
            "prompts": str(root / "workflow" / "prompts"),
            "store": str(tmp_path / "llm"),
            "log": str(tmp_path / "log"),
        }
        return *ask(study, findings=findings, llm=json.dumps(llm | {"roles": {"qa": role}})), servers[-1]

    yield run
    for server in servers:
        server.stop()


def test_model_pairs_are_checked_and_bad_ones_have_a_reason(model):
    metrics, questions, server = model([GOOD, BAD])
    images = metrics["flow"]["used"]
    findings = questions.filter(pl.col("topic") == "findings")
    assert dict(findings["reason"].value_counts().rows()) == {None: images, "other_examination": images}
    assert set(findings["backend"]) == {"test-model"}
    assert set(questions.filter(pl.col("topic") == "metadata")["backend"]) == {"templates"}
    assert metrics["made"]["questions kept out"] == images
    data = json.loads(server.bodies[0]["messages"][1]["content"])
    assert data["sentences"] == [TEXT] and set(data["visible"]) == {"liver", "right kidney", "left kidney"}


def test_rejected_pairs_do_not_reach_the_shards(study, model):
    model([GOOD, BAD])
    study.run("shards", {"image_size": 32, "formats": ["raw"]})
    asked = [q["question"] for row in pl.read_parquet(study.path("train"))["questions"] for q in row]
    assert GOOD["question"] in asked and BAD["question"] not in asked


def test_failed_model_answers_are_not_replaced(model):
    metrics, questions, _ = model([GOOD])  # two were asked for
    assert set(questions["topic"]) == {"metadata"} and metrics["tables"]["checks"]["model_failed"] > 0
