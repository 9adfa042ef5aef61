import gc

import numpy as np
import polars as pl
import pytest

from refrad.core.tables import read_frame, write_frame
from refrad.evaluation.metrics.paired_scores import compare
from refrad.evaluation.metrics.records import EntityRecord, PredictionRecord, TruthRecord
from refrad.evaluation.metrics.scoring import METRICS, score_items
from refrad.evaluation.metrics.summary import summarise

LEFT, RIGHT = [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]


def truths(*rows):
    return {row["id"]: TruthRecord.model_validate(row) for row in rows}


def answers(**texts):
    return {key: PredictionRecord(id=key, answer=text) for key, text in texts.items()}


def values(items, metric):
    return dict(items.filter(pl.col("metric") == metric).select("id", "value").iter_rows())


QUESTIONS = truths(
    {"id": "a", "task": "vqa", "kind": "open", "answer": "12 mm", "group": "p", "language": "en"},
    {"id": "b", "task": "vqa", "kind": "yesno", "answer": "Yes", "group": "p", "language": "de"},
    {"id": "c", "task": "vqa", "kind": "open", "answer": " ", "group": "q"},
    {"id": "d", "task": "vqa", "kind": "open", "answer": "liver", "group": "q", "language": "en"},
)


def test_open_and_closed_questions_have_separate_metrics():
    items, counts = score_items(QUESTIONS, answers(a="1.2 cm", b="yes.", c="x"))
    assert values(items, "accuracy") == {"b": 1}
    assert values(items, "measure_f1") == {"a": 1, "d": 0} and values(items, "f1")["a"] == 0.5
    assert values(items, "f1_all") == {"a": 0.5, "b": 1, "d": 0}
    assert counts["unanswered"] == 1 and counts["blank truth"] == 1 and counts["answered"] == 3


def test_silence_is_never_right():
    questions = truths(
        {"id": "a", "task": "vqa", "kind": "multiple", "answer": "A"},
        {"id": "b", "task": "vqa", "kind": "multiple", "answer": "B"},
    )
    items, counts = score_items(questions, answers(b="C"))
    assert set(items["value"]) == {0.0} and counts["unanswered"] == 1


def test_lenient_accuracy_stands_beside_the_strict_one():
    items, _ = score_items(QUESTIONS, answers(b="Yes, there is."))
    assert values(items, "accuracy") == {"b": 0} and values(items, "accuracy_lenient") == {"b": 1}


def test_cider_counts_documents_of_one_dataset_and_task():
    def caption(name, text, task="caption", dataset="a"):
        return {"id": name, "task": task, "answer": text, "dataset": dataset}

    rows = [caption("x", "liver cyst small"), caption("y", "spleen mass large")]
    alone, _ = score_items(truths(*rows), answers(x="liver cyst", y="spleen mass large"))
    others = [caption("z", "liver cyst small", dataset="b"), caption("w", "liver cyst small", task="detect")]
    beside, _ = score_items(truths(*rows, *others), answers(x="liver cyst", y="spleen mass large", z="q", w="q"))
    expected = values(alone, "cider_classic")
    assert {name: values(beside, "cider_classic")[name] for name in expected} == expected
    assert expected["y"] == 7.5  # an equal caption of 3 words: cosine 1 for n = 1, 2, 3 of 4


def test_metrics_have_definitions():
    items, _ = score_items(QUESTIONS, answers(a="1.2 cm", b="yes."))
    assert set(items["metric"]) <= set(METRICS)


def test_files_without_a_common_id_are_refused():
    with pytest.raises(ValueError, match="belong together"):
        score_items(QUESTIONS, answers(z="x"))


def test_structures_are_scored_one_by_one():
    asked = truths(
        {"id": "l", "task": "locate", "entities": [{"class_id": 5, "box": LEFT}, {"class_id": 1, "box": RIGHT}]}
    )
    given = (EntityRecord(class_id=5, box=[0.0, 0.0, 0.5, 0.5]), EntityRecord(class_id=5, box=RIGHT))
    items, _ = score_items(asked, {"l": PredictionRecord(id="l", entities=given)}, names={5: "liver", 1: "spleen"})
    found = items.filter(pl.col("metric") == "iou").select("class", "value", "size").rows()
    assert found == [("liver", 0.5, "20 % and more"), ("spleen", 0.0, "20 % and more")]
    assert items.filter(pl.col("metric") == "iou50")["value"].sum() == 1


@pytest.mark.parametrize(
    ("box", "size", "stratum"),
    [
        ([0, 0, 10, 20], [100, 100], "1 to 5 %"),  # 200 of 10,000 px
        ([0, 0, 0.1, 0.2], None, "1 to 5 %"),
        ([0, 0, 0.1, 0.2], [100, 100], "1 to 5 %"),  # shares, whatever the size of the image
        ([90, 80, 190, 180], [100, 100], "1 to 5 %"),  # 10 x 20 px of it are in the image
        ([0, 0, 10, 20], None, None),
    ],
)
def test_size_is_the_share_of_the_image(box, size, stratum):
    asked = truths({"id": "l", "task": "locate", "entities": [{"text": "cyst", "box": box}], "size": size})
    items, _ = score_items(asked, {"l": PredictionRecord(id="l", entities=(EntityRecord(text="cyst", box=box),))})
    assert set(items["size"]) == {stratum}


def test_names_without_a_class_ignore_case():
    asked = truths({"id": "l", "task": "locate", "entities": [{"text": "Left kidney", "box": LEFT}]})
    items, _ = score_items(
        asked, {"l": PredictionRecord(id="l", entities=(EntityRecord(text="left kidney ", box=LEFT),))}
    )
    assert values(items, "iou") == {"l": 1}


def test_captions_without_entities_have_no_g_iou():
    asked = truths(
        {"id": "x", "task": "detect", "answer": "Normal liver.", "entities": [{"text": "liver", "box": LEFT}]},
        {"id": "y", "task": "detect", "answer": "No finding."},
    )
    items, counts = score_items(
        asked, {"x": PredictionRecord(id="x", entities=(EntityRecord(text="liver", box=LEFT),))}
    )
    assert values(items, "g_iou") == {"x": 1} and counts["captions without a true entity"] == 1
    assert values(items, "cider_classic") == {"x": 0, "y": 0}


def test_means_have_intervals_for_all_and_each_stratum():
    items, _ = score_items(QUESTIONS, answers(a="12 mm", b="yes"))
    rows = {(row["metric"], row["by"], row["value"]): row for row in summarise(items, 500)}
    assert rows["measure_f1", None, None]["mean"] == 0.5
    assert (rows["measure_f1", None, None]["low"], rows["measure_f1", None, None]["high"]) == (0, 1)
    assert rows["accuracy", "language", "de"]["mean"] == 1 and rows["accuracy", "language", "de"]["groups"] == 1


def test_single_group_has_no_interval():
    items, _ = score_items(QUESTIONS, answers(b="yes"))
    (row,) = [one for one in summarise(items, 100, strata=()) if one["metric"] == "accuracy"]
    assert (row["mean"], row["low"], row["high"]) == (1, None, None)


def test_failed_verdicts_are_left_out_and_counted():
    items = pl.DataFrame(
        {
            **{name: ["x"] * 3 for name in ("dataset", "task", "metric")},
            **{"id": ["a", "b", "c"], "group": ["a", "b", "c"], "value": [1.0, float("nan"), 0.5]},
        }
    )
    (row,) = summarise(items, 200, strata=())
    assert row["mean"] == 0.75 and row["items"] == 2 and row["failed"] == 1


def test_models_are_compared_on_common_items():
    ours, _ = score_items(QUESTIONS, answers(a="12 mm", b="yes", d="liver"))
    theirs, _ = score_items(QUESTIONS, answers(a="12 mm", b="no", d="spleen"))
    rows = {row["metric"]: row for row in compare(ours, theirs, 500)}
    assert rows["accuracy"]["difference"] == 1 and rows["accuracy"]["groups"] == 1
    assert rows["f1"]["difference"] == 0.5 and rows["f1"]["items"] == 2
    assert {row["difference"] for row in compare(ours, ours, 100)} == {0}


def test_scores_are_compared_with_those_of_a_file(tmp_path):
    ours, _ = score_items(QUESTIONS, answers(a="12 mm", b="yes", d="liver"))
    theirs, _ = score_items(QUESTIONS, answers(a="12 mm", b="no", d="spleen"))
    write_frame(tmp_path / "scores.parquet", theirs)
    read = read_frame(tmp_path / "scores.parquet")
    assert set(read.dtypes) == {pl.String, pl.Float64} and read.rows() == theirs.rows()
    assert compare(ours, read, 200) == compare(ours, theirs, 200) != []


def test_datasets_are_not_averaged():
    asked = truths(*({"id": name, "task": "vqa", "kind": "closed", "answer": "yes", "dataset": name} for name in "ab"))
    items, _ = score_items(asked, answers(a="yes", b="no"))
    strict = items.filter(metric="accuracy")
    assert [(row["dataset"], row["mean"]) for row in summarise(strict, 100, strata=())] == [("a", 1), ("b", 0)]


def test_judge_is_not_asked_about_silence():
    asked = truths(*({"id": name, "task": "vqa", "kind": "open", "answer": "liver"} for name in "ab"))
    items, _ = score_items(asked, answers(a=" ", b="liver"), judge=lambda judged: np.ones(len(judged)))
    assert values(items, "llm_score") == {"a": 0, "b": 1}


def test_garbage_is_collected_while_the_judge_is_asked():
    """A judge takes hours, and its connections leave reference cycles."""
    collecting = []

    def judge(judged):
        collecting.append(gc.isenabled())
        return np.ones(len(judged))

    score_items(truths({"id": "a", "task": "vqa", "kind": "open", "answer": "liver"}), answers(a="liver"), judge=judge)
    assert collecting == [True]
