import json

import numpy as np
import pytest
from PIL import Image

from refrad.cli import main
from refrad.dataset.benchmarks import (
    BENCHMARKS,
    BenchmarkQuestion,
    BenchmarkReader,
    BenchmarkSource,
    drop_leaks,
    find_split_leaks,
    missing_images,
    read_benchmark,
)
from refrad.dataset.examples import example_of_row, read_image_table
from refrad.evaluation.questions import build_questions


def slake_row(image, question, answer="Liver", split_language="en", kind="OPEN"):
    return {
        **{"img_name": f"xmlab{image}/source.jpg", "question": question, "answer": answer, "q_lang": split_language},
        **{"answer_type": kind, "content_type": "Organ", "modality": "MRI"},
    }


@pytest.fixture
def slake(tmp_path):
    """SLAKE's layout with four images, one of them in train and test (under two names)."""
    folder = tmp_path / "Slake1.0"
    pixels = np.random.default_rng(0).integers(20, 200, (4, 12, 16, 3), np.uint8)
    pixels[3] = pixels[0]
    for number in range(4):
        (folder / "imgs" / f"xmlab{number}").mkdir(parents=True)
        Image.fromarray(pixels[number]).save(folder / "imgs" / f"xmlab{number}" / "source.jpg")
    rows = {
        "train": [slake_row(0, "Which organ?"), slake_row(1, "Which organ?"), slake_row(1, "Blank?", " ")],
        "validate": [slake_row(2, "Is it sick?", "Yes", kind="CLOSED "), slake_row(2, "哪个器官?", "肝", "zh")],
        "test": [slake_row(3, "How many?", 2)],
    }
    for name, split_rows in rows.items():
        (folder / f"{name}.json").write_text(json.dumps(split_rows))
    return folder


def test_slake_is_read_as_downloaded(shared):
    benchmark = read_benchmark(shared / "vqa-slake")
    counts = {
        split: sum(question.split == split for question in benchmark.questions) for split in ("train", "validation")
    }
    assert benchmark.name == "slake" and benchmark.excluded["language zh"] == 4916 + 1046
    aside = benchmark.excluded.get("blank answer", 0) + benchmark.excluded.get("repeated", 0)
    assert sum(counts.values()) == 4919 + 1053 - aside and aside >= 1
    assert not find_split_leaks(benchmark), "English images are in one split each"
    assert len(missing_images(benchmark)) == len(benchmark.files) == 546


def test_slake_leaks_images_between_splits_in_chinese(shared):
    benchmark = read_benchmark(shared / "vqa-slake", ["en", "zh"])
    assert find_split_leaks(benchmark)
    clean = drop_leaks(benchmark)
    assert not find_split_leaks(clean) and clean.excluded["image also in a later split"] > 0
    assert len(clean.questions) + clean.excluded["image also in a later split"] == len(benchmark.questions)


def test_vqa_rad_split_of_2025_does_not_leak(shared):
    benchmark = read_benchmark(shared / "vqa-rad")
    assert (benchmark.name, len(benchmark.questions) + sum(benchmark.excluded.values())) == ("vqa-rad", 785 + 728)
    assert not benchmark.warnings and not find_split_leaks(benchmark) and not missing_images(benchmark)
    assert {question.kind for question in benchmark.questions} == {"open", "yesno", "closed"}


def test_vqa_rad_original_split_leaks_with_a_warning(shared, tmp_path):
    (tmp_path / "images").symlink_to(shared / "vqa-rad" / "images")
    (tmp_path / "original").symlink_to(shared / "vqa-rad" / "original")
    for name in ("trainset.json", "testset.json"):
        (tmp_path / name).symlink_to(shared / "vqa-rad" / "original" / name)
    benchmark = read_benchmark(tmp_path)
    assert "remembers" in benchmark.warnings[0]
    tested = {question.image for question in benchmark.questions if question.split == "test"}
    assert set(find_split_leaks(benchmark)) >= tested
    clean = drop_leaks(benchmark)
    assert {question.image for question in clean.questions if question.split == "train"}.isdisjoint(tested)
    assert all(isinstance(question.answer, str) and question.answer for question in benchmark.questions)


def test_vqa_rad_release_marks_test_by_phrase_type(tmp_path):
    rows = [
        {"image_name": "a.jpg", "question": "q", "answer": 3, "answer_type": "OPEN", "phrase_type": phrase}
        for phrase in ("freeform", "test_freeform")
    ]
    (tmp_path / "VQA_RAD Dataset Public.json").write_text(json.dumps(rows))
    benchmark = read_benchmark(tmp_path)
    assert [question.split for question in benchmark.questions] == ["train", "test"] and benchmark.warnings


def test_command_writes_rows_that_evaluation_reads(slake, tmp_path, root, capsys, caplog):
    out = tmp_path / "slake.parquet"
    schema = str(root / "workflow" / "anatomy" / "classes.yaml")
    assert main(["public", str(slake), "--out", str(out), "--size", "32", "--schema", schema]) == 0
    output = capsys.readouterr().out
    assert "3 images" in output and "1 blank answer" in output and "1 language zh" in output
    assert "2 images in more than one split, drop" in output and "LEAK" in caplog.text
    frame = read_image_table([out])
    assert dict(frame.select("image_id", "split").iter_rows()) == {
        **{"slake:xmlab1": "train", "slake:xmlab2": "validation", "slake:xmlab3": "test"}
    }
    pictures = [example_of_row(row) for row in frame.iter_rows(named=True)]
    questions = [question for picture in pictures for question in build_questions(picture, "slake")]
    assert [(question.task, question.kind, question.answer) for question in questions] == [
        ("vqa", "open", "Liver"),
        ("vqa", "yesno", "Yes"),
        ("vqa", "open", "2"),
    ]
    image = np.asarray(pictures[0].load_image())
    assert image.shape == (32, 32, 3) and (image.min(), image.max()) == (0, 255)


def test_leaking_images_can_be_kept(slake, tmp_path, root, capsys):
    schema = str(root / "workflow" / "anatomy" / "classes.yaml")
    arguments = ["public", str(slake), "--out", str(tmp_path / "x.parquet"), "--leaking", "keep", "--schema", schema]
    assert main(arguments) == 0
    assert "4 images" in capsys.readouterr().out


def test_missing_images_are_one_message(shared, tmp_path, capsys):
    assert main(["public", str(shared / "vqa-slake"), "--out", str(tmp_path / "x.parquet")]) == 1
    message = capsys.readouterr().err
    assert "546 of 546 images are not there, for example" in message and len(message.splitlines()) == 1


def test_unknown_folder_is_refused(tmp_path, capsys):
    assert main(["public", str(tmp_path), "--out", str(tmp_path / "x.parquet")]) == 1
    assert "neither SLAKE" in capsys.readouterr().err


def test_new_benchmark_is_one_line_of_the_registry(tmp_path, root, monkeypatch):
    def read_toy(folder):
        if not (folder / "toy.txt").exists():
            return None
        facts = {"language": "en", "kind": "open", "topic": "", "modality": "CT", "answer": "liver"}
        questions = [
            BenchmarkQuestion(image=f"{split}.png", image_id=split, split=split, question="Which organ?", **facts)
            for split in ("train", "test")
        ]
        return BenchmarkSource(questions, image_folders=["."])

    monkeypatch.setitem(BENCHMARKS, "toy", BenchmarkReader("TOY (toy.txt)", read_toy))
    (tmp_path / "toy.txt").touch()
    for split in ("train", "test"):
        pixels = np.random.default_rng(len(split)).integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{split}.png")
    out = tmp_path / "toy.parquet"
    schema = str(root / "workflow" / "anatomy" / "classes.yaml")
    assert main(["public", str(tmp_path), "--out", str(out), "--schema", schema]) == 0
    assert read_image_table([out])["image_id"].to_list() == ["toy:test", "toy:train"]
