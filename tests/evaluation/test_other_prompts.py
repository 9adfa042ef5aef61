"""Questions as other vision-language models get them."""

import io
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.factories.images import png_bytes

from refrad.config import OtherModelOptions
from refrad.dataset.examples import ImageExample, example_of_row, read_image_table
from refrad.evaluation.other_prompts import encode_picture, load_prompts, picture_for, question_lines, request_for
from refrad.evaluation.questions import build_questions

PIXELS = OtherModelOptions(name="x", model="x", tasks=["locate", "detect"], boxes={"unit": "px", "order": "xyxy"})


@pytest.fixture(scope="module")
def image(images):
    return example_of_row(read_image_table([images], {"test"}).row(0, named=True))


@pytest.fixture(scope="module", params=["others", "paligemma"])
def prompts(root, request):
    return load_prompts(root / "workflow" / "prompts" / f"{request.param}.yaml")


def question_of(image, task):
    return next(question for question in build_questions(image) if question.task == task)


def test_question_is_sent_with_its_choices_and_without_our_wording(image):
    pair = replace(image.questions[0], question="Which side?", choices=("left", "right"))
    question = question_of(replace(image, questions=(pair,)), "vqa")
    assert question_lines(question) == "Which side?\nleft\nright"


def test_caption_has_the_prior_knowledge_of_the_radiologist(image):
    assert question_lines(question_of(image, "detect")) == "Clinical information: pain"


def test_prompt_names_the_structure_and_the_convention(image, root):
    prompts = load_prompts(root / "workflow" / "prompts" / "others.yaml")
    request = request_for(question_of(image, "locate"), encode_picture(picture_for(image, 1, True)), prompts, PIXELS)
    assert request.data["names"] == "Liver" and request.data["order"] == "[x_min, y_min, x_max, y_max]"
    assert "64 wide and 64 high" in request.data["box"] and request.subject == image.patient


def test_question_in_a_third_language_gets_the_english_prompt(image, prompts):
    question = replace(question_of(image, "vqa"), language="zh")
    assert request_for(question, encode_picture(picture_for(image, 1, True)), prompts, PIXELS).language == "en"


def test_sent_file_is_the_window_of_the_option_in_grey(image):
    picture = np.dstack([np.full((8, 8), level, np.uint8) for level in (10, 100, 200)])
    windows = replace(image, encoded={"image": {"bytes": png_bytes(picture), "path": None}}, size=(8, 8))
    for window, level in enumerate((10, 100, 200)):
        assert np.asarray(picture_for(windows, window, True)).tolist() == np.full((8, 8, 3), level).tolist()
    assert (np.asarray(picture_for(windows, "all", True)) == picture).all()
    assert (np.asarray(picture_for(replace(windows, modality="MR"), 1, True)) == picture).all()
    assert (np.asarray(picture_for(windows, 1, False)) == picture).all()  # a benchmark has its window already


def test_sent_file_has_the_proportions_of_the_image(image):
    left = np.zeros((64, 64, 3), np.uint8)
    left[:, :32] = 255
    wide = replace(image, encoded={"image": {"bytes": png_bytes(left), "path": None}}, size=(300, 200))
    picture = picture_for(wide, 1, True)
    assert picture.size == (96, 64)  # 64 px x 300 / 200
    assert np.asarray(picture)[32, [10, 85], 0].tolist() == [255, 0]
    assert picture_for(replace(wide, size=(200, 300)), 1, True).size == (64, 96)


def test_image_is_sent_without_loss(image, prompts):
    picture = picture_for(image, 1, True)
    (png,) = request_for(question_of(image, "locate"), encode_picture(picture), prompts, PIXELS).images
    assert (np.asarray(Image.open(io.BytesIO(png))) == np.asarray(picture)).all()


def test_every_image_example_has_its_size():
    assert ImageExample("i", "p", "CT", {}, {}, (), ()).size == (0, 0)  # unknown: the picture stays as it is


WRONG = {
    "no language": ({"en": {}}, "de: the prompts of this language are missing"),
    "no mapping": ([], "de: the prompts of this language are missing"),
    "unknown placeholder": ({"vqa": "{{answer}}"}, "en.vqa: nothing is known of {{answer}}"),
    "number as key": ({"unit": {1000: "x"}}, "en.unit.px: a text is missing"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_wrong_prompt_file_is_one_line(change, message, root, tmp_path):
    content = yaml.safe_load((root / "workflow" / "prompts" / "others.yaml").read_text(encoding="utf-8"))
    if not isinstance(change, dict) or "en" in change:
        content = change
    else:
        content["en"] |= change
    path = tmp_path / "prompts.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ValueError, match=path.name) as error:
        load_prompts(path)
    assert message in str(error.value) and "\n" not in str(error.value)
