import json

import numpy as np
import pytest
from PIL import Image

from refrad.cli import main
from refrad.dataset.examples import example_of_row, read_image_table
from refrad.dataset.public import leaks, missing_images, read_public, without_leaks
from refrad.evaluation.questions import build_questions


def slake_row(image, question, answer="Liver", split_language="en", kind="OPEN"):
    return {
        **{"img_name": f"xmlab{image}/source.jpg", "question": question, "answer": answer, "q_lang": split_language},
        **{"answer_type": kind, "content_type": "Organ", "modality": "MRI"},
    }


@pytest.fixture
def slake(tmp_path):
    """SLAKE's layout with four images, of which one stands in train and test (under two names)."""
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
    for name, some in rows.items():
        (folder / f"{name}.json").write_text(json.dumps(some))
    return folder


def test_slake_as_it_was_downloaded(shared):
    public = read_public(shared / "vqa-slake")
    counts = {split: sum(one.split == split for one in public.questions) for split in ("train", "validation")}
    assert public.name == "slake" and public.aside["language zh"] == 4916 + 1046
    aside = public.aside.get("blank answer", 0) + public.aside.get("stands twice", 0)
    assert sum(counts.values()) == 4919 + 1053 - aside and aside >= 1
    assert not leaks(public), "English images are in one split each"
    assert len(missing_images(public)) == len(public.files) == 546


def test_chinese_questions_of_slake_share_images_between_splits(shared):
    public = read_public(shared / "vqa-slake", ["en", "zh"])
    assert leaks(public)
    clean = without_leaks(public)
    assert not leaks(clean) and clean.aside["image also in a later split"] > 0
    assert len(clean.questions) + clean.aside["image also in a later split"] == len(public.questions)


def test_the_split_of_2025_does_not_leak(shared):
    public = read_public(shared / "vqa-rad")
    assert (public.name, len(public.questions) + sum(public.aside.values())) == ("vqa-rad", 785 + 728)
    assert not public.warnings and not leaks(public) and not missing_images(public)
    assert {one.kind for one in public.questions} == {"open", "yesno", "closed"}


def test_the_original_split_of_vqa_rad_leaks_and_says_so(shared, tmp_path):
    (tmp_path / "images").symlink_to(shared / "vqa-rad" / "images")
    (tmp_path / "original").symlink_to(shared / "vqa-rad" / "original")
    for name in ("trainset.json", "testset.json"):
        (tmp_path / name).symlink_to(shared / "vqa-rad" / "original" / name)
    public = read_public(tmp_path)
    assert "remembers" in public.warnings[0]
    tested = {one.image for one in public.questions if one.split == "test"}
    assert set(leaks(public)) >= tested
    clean = without_leaks(public)
    assert {one.image for one in clean.questions if one.split == "train"}.isdisjoint(tested)
    assert all(isinstance(one.answer, str) and one.answer for one in public.questions)


def test_the_official_release_tells_its_test_questions_by_their_phrase_type(tmp_path):
    rows = [
        {"image_name": "a.jpg", "question": "q", "answer": 3, "answer_type": "OPEN", "phrase_type": phrase}
        for phrase in ("freeform", "test_freeform")
    ]
    (tmp_path / "VQA_RAD Dataset Public.json").write_text(json.dumps(rows))
    public = read_public(tmp_path)
    assert [one.split for one in public.questions] == ["train", "test"] and public.warnings


def test_the_command_writes_rows_that_evaluation_reads(slake, tmp_path, root, capsys, caplog):
    out = tmp_path / "slake.parquet"
    schema = str(root / "workflow" / "anatomy" / "classes.yaml")
    assert main(["public", str(slake), "--out", str(out), "--size", "32", "--schema", schema]) == 0
    told = capsys.readouterr().out
    assert "3 images" in told and "1 blank answer" in told and "1 language zh" in told
    assert "2 images in more than one split, drop" in told and "LEAK" in caplog.text
    frame = read_image_table([out])
    assert dict(frame.select("image_id", "split").iter_rows()) == {
        **{"slake:xmlab1": "train", "slake:xmlab2": "validation", "slake:xmlab3": "test"}
    }
    pictures = [example_of_row(row) for row in frame.iter_rows(named=True)]
    asked = [one for picture in pictures for one in build_questions(picture, "slake")]
    assert [(one.task, one.kind, one.answer) for one in asked] == [
        ("vqa", "open", "Liver"),
        ("vqa", "yesno", "Yes"),
        ("vqa", "open", "2"),
    ]
    shown = np.asarray(pictures[0].load_image())
    assert shown.shape == (32, 32, 3) and (shown.min(), shown.max()) == (0, 255)


def test_leaking_images_can_be_kept_to_reproduce_a_number(slake, tmp_path, root, capsys):
    schema = str(root / "workflow" / "anatomy" / "classes.yaml")
    arguments = ["public", str(slake), "--out", str(tmp_path / "x.parquet"), "--leaking", "keep", "--schema", schema]
    assert main(arguments) == 0
    assert "4 images" in capsys.readouterr().out


def test_missing_images_are_one_message(shared, tmp_path, capsys):
    assert main(["public", str(shared / "vqa-slake"), "--out", str(tmp_path / "x.parquet")]) == 1
    message = capsys.readouterr().err
    assert "546 of 546 images are not there, for example" in message and len(message.splitlines()) == 1


def test_another_folder_is_refused(tmp_path, capsys):
    assert main(["public", str(tmp_path), "--out", str(tmp_path / "x.parquet")]) == 1
    assert "neither SLAKE" in capsys.readouterr().err
