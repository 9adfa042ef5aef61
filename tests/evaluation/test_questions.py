from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from refrad.dataset.examples import ExampleMention, example_of_row, read_image_table
from refrad.dataset.image_codec import decode_mask, encode_mask
from refrad.evaluation.answer_cache import GeneratedAnswer
from refrad.evaluation.questions import EvalQuestion, build_questions, mean_boxes, score_places, summary
from refrad.evaluation.regions import BoxCodec, MaskCodec, mean_masks, phrases_of_pictures
from refrad.model.box_tokens import BINS, detection_text, parse_detection
from refrad.training.samples import Samples, surface_forms

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def pictures(images):
    return [example_of_row(row) for row in read_image_table([images], {"test"}).iter_rows(named=True)]


def boxes_of(one):
    """The words that hold the boxes asked for."""
    if one.task == "vqa":
        return GeneratedAnswer(one.answer)
    entities = [
        {"start": 0, "end": 1, "class_id": c} | dict(zip(("x_min", "y_min", "x_max", "y_max"), box, strict=True))
        for c, box in one.targets
    ]
    return GeneratedAnswer(detection_text("x", entities, 1, 1, "yxyx"))


def generate_masks(one):
    """The phrases asked for in tags, and their masks; images are as large as the model's."""
    if one.task == "vqa":
        return GeneratedAnswer(one.answer)
    tags = " and ".join(f"<seg>{name}</seg>" for name in one.names)
    return GeneratedAnswer(tags, tuple(region["counts"] for _, region in one.targets))


@pytest.fixture(scope="module", params=["boxes", "masks"])
def variant(request, pictures, schema):
    """How places are marked, and the right answer to a question."""
    if request.param == "boxes":
        return BoxCodec("yxyx"), boxes_of
    sizes = {one.image_id: one.size for one in pictures}
    return MaskCodec(64, sizes, phrases_of_pictures(pictures, schema)), generate_masks


def asked(*targets):
    return EvalQuestion("i", "p", "locate", "en", "", targets)


def summed_up(pictures, marks, answer):
    questions = [one for picture in pictures for one in build_questions(picture, masks=marks.name == "masks")]
    answers = [answer(one) for one in questions]
    found = [marks.decode(*pair).entities for pair in zip(questions, answers, strict=True)]
    keys = [key for entities in found for key, _ in entities]
    visible = {one.image_id: marks.visible(one, keys) for one in pictures}
    return summary(questions, [one.text for one in answers], found, visible, resamples=100)


def test_right_answers_score_nearly_one(pictures, variant):
    result = summed_up(pictures, *variant)
    assert result["mean_iou"] > 0.95 and result["mean_dice"] > 0.95
    assert result["class_recall"] == result["iou50"] == result["vqa"]["accuracy"] == 1
    assert result["free"]["g_iou"] > 0.95 and result["free"]["dice"] > 0.95 and result["free"]["visible"] == 1


def test_silence_scores_zero_and_is_not_left_out(pictures, variant):
    result = summed_up(pictures, variant[0], lambda _: GeneratedAnswer(""))
    assert result["mean_iou"] == result["class_recall"] == result["free"]["g_iou"] == result["vqa"]["accuracy"] == 0
    assert result["asked"] == 12 and result["free"]["places"] == 0


def test_a_phrase_that_names_nothing_in_the_image_has_no_place(pictures, schema):
    marks = MaskCodec(64, {one.image_id: one.size for one in pictures}, phrases_of_pictures(pictures, schema))
    everything = pictures[0].mask(pictures[0].mask_rles)
    result = summed_up(pictures, marks, lambda _: GeneratedAnswer("<seg>heart</seg>", (encode_mask(everything),)))
    assert result["free"]["places"] == len(pictures) and result["free"]["dice"] == result["free"]["visible"] == 0


def test_a_mask_comes_to_the_size_of_its_image(pictures):
    marks = MaskCodec(2, {pictures[0].image_id: (6, 4)}, {})
    corner = np.array([[True, False], [False, False]])
    one = EvalQuestion(pictures[0].image_id, "p", "locate", "en", "")
    ((phrase, key, region),) = marks.decode(one, GeneratedAnswer("<seg>Liver</seg>", (encode_mask(corner),))).places
    assert (phrase, key, region["size"]) == ("Liver", "liver", [4, 6])
    assert decode_mask(region["counts"], 4, 6)[:2, :3].all() and decode_mask(region["counts"], 4, 6).sum() == 6


def test_a_phrase_without_a_mask_is_no_place():
    one = EvalQuestion("i", "p", "locate", "en", "")
    assert MaskCodec(2, {"i": (6, 4)}, {}).decode(one, GeneratedAnswer("<seg>liver")).places == ()


def test_tags_around_nothing_name_no_mask():
    one = EvalQuestion("i", "p", "locate", "en", "")
    answer = GeneratedAnswer("<seg></seg> <seg>liver</seg>", ("4", "04"))
    assert [text for text, *_ in MaskCodec(2, {"i": (6, 4)}, {}).decode(one, answer).places] == ["liver"]


def test_a_phrase_of_several_classes_asks_for_all_of_them_at_once(pictures):
    mention = ExampleMention(0, 5, "Both", tuple(pictures[0].boxes.items()))
    both = replace(pictures[0], captions=(replace(pictures[0].captions[0], mentions=(mention,)),))
    locate = next(one for one in build_questions(both, masks=True) if one.task == "locate")
    ((key, region),) = locate.targets
    assert key == "both" and decode_mask(region["counts"], *region["size"]).sum() == 800
    assert len(next(one for one in build_questions(both) if one.task == "locate").targets) == 2  # boxes: one a class


def test_the_mean_mask_has_the_mean_area_where_the_class_is_most_often(pictures):
    mean = mean_masks(pictures)[5]
    areas = [one.mask([5]).mean() for one in pictures]
    often = np.mean([one.mask([5]) for one in pictures], axis=0)
    assert mean.mean() == pytest.approx(np.mean(areas), rel=0.02)
    inside = np.kron(often, np.ones((2, 2)))  # from 64 to 128 px
    assert inside[mean].min() >= inside[~mean].max()


def test_what_needs_no_model_answers_for_masks_too(pictures):
    marks = MaskCodec(64, {one.image_id: one.size for one in pictures}, {})
    located = [one for picture in pictures for one in build_questions(picture, masks=True) if one.task == "locate"]
    for entities in marks.baselines(pictures, located).values():
        result = score_places(located, entities, 100)
        assert result["class_recall"] == 1 and 0.2 < result["mean_iou"] < 1


def test_a_box_with_the_wrong_class_is_a_missing_box():
    assert score_places([asked((1, LEFT))], [[(2, LEFT)]])["mean_iou"] == 0


def test_the_first_of_two_boxes_of_a_class_counts():
    assert score_places([asked((1, LEFT))], [[(1, RIGHT), (1, LEFT)]])["mean_iou"] == 0


def test_nothing_asked_has_no_score():
    with pytest.raises(ValueError, match="without any item"):
        score_places([], [])


def test_the_mean_box_is_the_mean_of_each_side(pictures):
    boxes = [picture.boxes[5] for picture in pictures]
    expected = [sum(values) / len(values) for values in zip(*boxes, strict=True)]
    assert mean_boxes(pictures)[5] == pytest.approx(expected)


@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_what_training_writes_is_read_back_as_boxes_of_the_image(images, schema, resize):
    """A model that has learned its targets by heart gives the true boxes, whatever the shape of the image."""
    rows = read_image_table([images], {"test"}).to_dicts()
    for number, row in enumerate(rows):  # wide and high images
        side, axis = ("width", "x") if number % 2 else ("height", "y")
        row[side] *= 3
        for one in [*row["structures"], *row["captions"][0]["entities"]]:
            one[f"{axis}_min"] *= 3
            one[f"{axis}_max"] *= 3
    frame = pl.DataFrame(rows)
    names = surface_forms([example_of_row(row) for row in rows], schema)
    samples = Samples(frame, names, 64, "yxyx", {"locate": 0.0, "detect": 1.0, "vqa": 0.0}, 0, None, resize)
    for index, row in enumerate(rows):
        sample = samples[0, index]
        (one,) = (
            question for question in build_questions(example_of_row(row), resize=resize) if question.task == "detect"
        )
        found = dict(BoxCodec("yxyx").decode(one, GeneratedAnswer(sample.target)).entities)
        for class_id, box in one.targets:
            assert found[class_id] == pytest.approx(box, abs=(3 if resize == "pad" else 1) / BINS)
        liver = parse_detection(sample.target, "yxyx").entities[0].box
        x, y = (round(32 * (liver[i] + liver[i + 2])) for i in (0, 1))
        assert sample.image[y, x].min() > 200  # where the target says the liver is, the model sees it
