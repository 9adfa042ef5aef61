import numpy as np
import polars as pl
import pytest

from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import example_of_row, read_image_table
from refrad.dataset.image_codec import decode_mask, encode_mask
from refrad.evaluation.answer_cache import GeneratedAnswer
from refrad.evaluation.questions import EvalQuestion, build_questions
from refrad.evaluation.regions import BoxCodec, MaskCodec
from refrad.model.box_tokens import COORDINATE_BINS, parse_detection
from refrad.training.samples import SampleOptions, Samples, surface_forms

QUESTION = EvalQuestion("i", "p", "locate", "en", "")


def test_mask_is_resized_to_its_image():
    corner = np.array([[True, False], [False, False]])
    answer = GeneratedAnswer("<seg>Liver</seg>", (encode_mask(corner),))
    (entity,) = MaskCodec(2, {"i": (6, 4)}, {}).decode(QUESTION, answer).regions
    assert (entity.text, entity.key, entity.region["size"]) == ("Liver", "liver", [4, 6])
    mask = decode_mask(entity.region["counts"], 4, 6)
    assert mask[:2, :3].all() and mask.sum() == 6


def test_phrase_without_a_mask_is_no_region():
    assert MaskCodec(2, {"i": (6, 4)}, {}).decode(QUESTION, GeneratedAnswer("<seg>liver")).regions == ()


def test_tags_around_nothing_are_no_region():
    answer = GeneratedAnswer("<seg></seg> <seg>liver</seg>", ("4", "04"))
    regions = MaskCodec(2, {"i": (6, 4)}, {}).decode(QUESTION, answer).regions
    assert [entity.text for entity in regions] == ["liver"]


@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_training_targets_are_decoded_as_boxes_of_the_image(images, schema, resize):
    """The targets of training are decoded as the true boxes, whatever the aspect of the image."""
    rows = read_image_table([images], {"test"}).to_dicts()
    for number, row in enumerate(rows):  # wide and high images
        side, axis = ("width", "x") if number % 2 else ("height", "y")
        row[side] *= 3
        for box in [*row["structures"], *row["captions"][0]["entities"]]:
            box[f"{axis}_min"] *= 3
            box[f"{axis}_max"] *= 3
    frame = pl.DataFrame(rows)
    names = surface_forms(TableRows(frame).classes.meanings, schema)
    samples = Samples(
        TableRows(frame), names, SampleOptions(64, "yxyx", {"locate": 0.0, "detect": 1.0, "vqa": 0.0}, 0, None, resize)
    )
    for index, row in enumerate(rows):
        sample = samples[0, index]
        questions = build_questions(example_of_row(row), resize=resize)
        (question,) = (question for question in questions if question.task == "detect")
        decoded = BoxCodec("yxyx").decode(question, GeneratedAnswer(sample.target))
        boxes = {entity.key: entity.region for entity in decoded.regions}
        for target in question.targets:
            assert boxes[target.key] == pytest.approx(
                target.region, abs=(3 if resize == "pad" else 1) / COORDINATE_BINS
            )
        liver = parse_detection(sample.target, "yxyx").entities[0].box
        x, y = (round(32 * (liver[i] + liver[i + 2])) for i in (0, 1))
        assert sample.image[y, x].min() > 200  # the target's liver is the bright square of the model's input
