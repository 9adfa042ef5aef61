"""`refrad convert`: public benchmarks and shards as truth, which a perfect answer meets in full."""

import json
import stat
from collections import Counter

import pytest

from refrad.cli import main
from refrad.dataset.examples import example_of_row, read_image_table
from refrad.evaluation.questions import build_questions
from refrad.evaluation.record_rows import truth_row


def slake_row(image, question, answer, **values):
    row = {"img_name": f"xmlab{image}/source.jpg", "question": question, "answer": answer, "q_lang": "en"}
    return {**row, "answer_type": "OPEN", "content_type": "Organ", "modality": "MRI", **values}


@pytest.fixture
def slake(tmp_path):
    """SLAKE's questions without its images; image 1 is in train and test."""
    folder = tmp_path / "Slake1.0"
    folder.mkdir()
    yes = slake_row(2, "Is it sick?", "Yes", answer_type="CLOSED ")
    rows = {
        "train": [slake_row(0, "Which organ?", "Liver"), slake_row(1, "Which organ?", "Liver")],
        "test": [
            *[slake_row(1, "Which organ?", "Spleen"), slake_row(1, "Blank?", None), slake_row(2, "How many?", 2)],
            *[yes, yes, slake_row(2, "哪个器官?", "肝", q_lang="zh")],
        ],
    }
    for name, split_rows in rows.items():
        (folder / f"{name}.json").write_text(json.dumps(split_rows), encoding="utf-8-sig")
    return folder


def convert(source, out, *flags):
    assert main(["convert", str(source), "--out", str(out), *flags]) == 0
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def scores(rows, answers, tmp_path):
    """Means by task and metric of answers to the rows of truth.jsonl, as `refrad score` computes them."""
    (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    files = [str(tmp_path / "predictions.jsonl"), "--truth", str(tmp_path / "truth.jsonl")]
    assert main(["score", *files, "--resamples", "10", "--out", str(tmp_path / "scores.json")]) == 0
    result = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert result["counts"]["asked"] == len(rows) and not result["counts"]["unanswered"]
    return {(row["task"], row["metric"]): row["mean"] for row in result["scores"] if row["by"] is None}


def perfect(rows):
    """The true answers as predictions; of entities what a model can know: name and region."""
    return [{"id": row["id"], "answer": row["answer"], "entities": row["entities"]} for row in rows]


def test_slake_is_converted_without_its_images(slake, tmp_path, capsys):
    rows = convert(slake, tmp_path / "truth.jsonl")
    assert [(row["question"], row["answer"], row["kind"]) for row in rows] == [
        ("Which organ?", "Spleen", "open"),
        ("How many?", "2", "open"),
        ("Is it sick?", "Yes", "yesno"),
    ]
    assert [row["image_id"] for row in rows] == ["slake:xmlab1", "slake:xmlab2", "slake:xmlab2"]
    assert all(row["group"] == row["image_id"] and row["dataset"] == "slake" for row in rows)
    printed = capsys.readouterr().out
    assert "3 rows of 2 images, split test" in printed
    assert "1 blank answer" in printed and "1 repeated" in printed and "1 language zh" in printed
    assert stat.S_IMODE((tmp_path / "truth.jsonl").stat().st_mode) == 0o600


def test_chosen_languages_are_converted(slake, tmp_path):
    (row,) = convert(slake, tmp_path / "truth.jsonl", "--languages", "zh")
    assert (row["question"], row["answer"], row["language"]) == ("哪个器官?", "肝", "zh")


def test_image_of_train_and_test_is_left_in_test_unless_it_is_kept(slake, tmp_path, capsys):
    (row,) = convert(slake, tmp_path / "truth.jsonl", "--splits", "train")
    assert row["image_id"] == "slake:xmlab0" and "1 image also in a later split" in capsys.readouterr().out
    rows = convert(slake, tmp_path / "truth.jsonl", "--splits", "train", "--leaking", "keep")
    assert [row["image_id"] for row in rows] == ["slake:xmlab0", "slake:xmlab1"]


def test_ids_of_a_benchmark_are_those_of_its_evaluation(shared, tmp_path):
    """Stage evaluate reads the file of `refrad public`; VQA-RAD has its images here."""
    file = tmp_path / "vqa-rad.parquet"
    assert main(["public", str(shared / "vqa-rad"), "--out", str(file), "--size", "16"]) == 0
    rows = convert(shared / "vqa-rad", tmp_path / "truth.jsonl", "--splits", "validation")
    from_file = convert(file, tmp_path / "other.jsonl", "--splits", "validation")
    without_question = [{name: row[name] for name in row if name != "question"} for row in rows]
    key = lambda row: row["id"]  # noqa: E731
    assert sorted(without_question, key=key) == sorted(
        ({name: row[name] for name in row if name != "question"} for row in from_file), key=key
    )


def test_majority_answer_and_perfect_answer_of_vqa_rad(shared, tmp_path):
    rows = convert(shared / "vqa-rad", tmp_path / "truth.jsonl", "--splits", "validation")
    assert len(rows) == 728
    assert set(scores(rows, perfect(rows), tmp_path).values()) == {1.0}
    train = convert(shared / "vqa-rad", tmp_path / "train.jsonl", "--splits", "train")
    majority = {
        is_open: Counter(row["answer"].lower() for row in train if (row["kind"] == "open") == is_open).most_common(1)
        for is_open in (True, False)
    }
    answers = [{"id": row["id"], "answer": majority[row["kind"] == "open"][0][0]} for row in rows]
    means = scores(rows, answers, tmp_path)
    # "yes" is right in 190 of 411 closed questions; "axial" shares words with few open answers.
    assert round(means["vqa", "accuracy"], 3) == 0.462 and round(means["vqa", "f1"], 3) == 0.044


@pytest.mark.parametrize("regions", ["boxes", "masks"])
def test_shards_are_converted_as_the_evaluation_writes_them(images, tmp_path, regions):
    rows = convert(images, tmp_path / "truth.jsonl", "--regions", regions)
    examples = [example_of_row(row) for row in read_image_table([images], {"test"}, pixels=False).iter_rows(named=True)]
    questions = [question for image in examples for question in build_questions(image, masks=regions == "masks")]
    assert rows == [json.loads(json.dumps(truth_row(question))) for question in questions]
    means = scores(rows, perfect(rows), tmp_path)
    assert means["locate", "iou"] == means["detect", "g_iou"] == means["vqa", "f1"] == 1


def test_tasks_and_splits_of_shards_are_chosen(images, tmp_path):
    rows = convert(images, tmp_path / "truth.jsonl", "--splits", "train", "validation", "--tasks", "vqa")
    assert {row["task"] for row in rows} == {"vqa"} and len({row["image_id"] for row in rows}) == 24 + 4


@pytest.mark.parametrize(
    ("files", "flags", "words"),
    [
        ({}, [], "neither SLAKE (train.json"),
        ({"test.json": "{"}, [], "test.json: not JSON"),
        ({"test.json": '{"a": 1}'}, [], "test.json: not a list of questions"),
        ({"test.json": '[{"question": "secret?"}]'}, [], "test.json: question 1 lacks img_name"),
        ({"test.json": '[{"img_name": "a/source.jpg", "question": null}]'}, [], "question 1 lacks question"),
        ({"test.json": "[]"}, [], "no question is left by --splits test"),
        ({"a.parquet": "PAR1"}, [], "a.parquet"),
        ({"test.json": "[]"}, ["--splits", "val"], "val: choose from train, validation, test"),
        ({"test.json": "[]"}, ["--tasks", "qa"], "qa: choose from"),
    ],
    ids=["empty folder", "cut", "object", "no image", "null question", "no rows", "other Parquet", "split", "task"],
)
def test_wrong_source_is_one_line(tmp_path, capsys, files, flags, words):
    folder = tmp_path / "source"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    source = folder / "a.parquet" if "a.parquet" in files else folder
    assert main(["convert", str(source), "--out", str(tmp_path / "truth.jsonl"), *flags]) == 1
    message = capsys.readouterr().err
    assert words in message and "secret" not in message and message.count("\n") == 1
    assert not (tmp_path / "truth.jsonl").exists()


def test_failed_conversion_leaves_the_former_file(slake, tmp_path):
    out = tmp_path / "truth.jsonl"
    out.write_text("former")
    assert main(["convert", str(slake), "--out", str(out), "--splits", "validation"]) == 1
    assert out.read_text() == "former" and [path.name for path in tmp_path.iterdir() if path.is_file()] == [out.name]


def test_missing_source_and_folder_as_file_are_one_line(slake, tmp_path, capsys):
    assert main(["convert", str(tmp_path / "no"), "--out", str(tmp_path / "truth.jsonl")]) == 1
    assert main(["convert", str(slake), "--out", str(tmp_path)]) == 1
    messages = capsys.readouterr().err.splitlines()
    assert "no such file or folder" in messages[0] and "is a folder: name a file" in messages[1] and len(messages) == 2
