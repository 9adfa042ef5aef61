import numpy as np
import polars as pl
import pytest
from tests.factories import AUGMENT

from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import read_image_table
from refrad.model.box_tokens import parse_detection
from refrad.model.collate import collate
from refrad.training.dataloader import batch_order
from refrad.training.samples import SampleOptions, Samples, surface_forms

TURNED = AUGMENT.model_copy(update={"rotation": 20.0})
SHARES = {"locate": 0.6, "detect": 0.2, "vqa": 0.2}


@pytest.fixture(scope="module")
def frame(images):
    return read_image_table([images], {"train"})


@pytest.fixture(scope="module")
def make(frame, schema):
    names = surface_forms(TableRows(frame).classes.meanings, schema)
    return lambda augment, order="yxyx", shares=SHARES: Samples(
        TableRows(frame), names, SampleOptions(64, order, shares, 0, augment)
    )


def test_test_patients_are_never_trained_on(frame):
    assert set(frame["split"]) == {"train"}


def test_a_sample_depends_on_its_key_alone(make):
    one, other = make(AUGMENT), make(AUGMENT)
    for key in [(0, 3), (1, 3), (0, 4)]:
        a, b = one[key], other[key]
        assert (a.text, a.target) == (b.text, b.target) and np.array_equal(a.image, b.image)
    assert not np.array_equal(one[0, 3].image, one[1, 3].image)


@pytest.mark.parametrize("order", ["yxyx", "xyxy"])
@pytest.mark.parametrize("augment", [None, AUGMENT, TURNED])
def test_the_boxes_of_the_target_surround_what_the_picture_shows(make, order, augment):
    samples = make(augment, order, {"locate": 1.0, "detect": 0.0, "vqa": 0.0})
    for index in range(len(samples)):
        sample = samples[0, index]
        for entity in parse_detection(sample.target, order).entities:
            x_min, y_min, x_max, y_max = (round(value * 64) for value in entity.box)
            middle = sample.image[(y_min + y_max) // 2, (x_min + x_max) // 2, 0]
            assert middle > (150 if entity.class_id == 5 else 40), (index, entity)


def test_the_prompt_names_what_the_target_locates(make):
    samples = make(None, shares={"locate": 1.0, "detect": 0.0, "vqa": 0.0})
    for index in range(len(samples)):
        sample = samples[0, index]
        assert parse_detection(sample.target, "yxyx").plain in sample.text


def test_tasks_come_in_their_shares(make):
    samples = make(AUGMENT)
    tasks = [samples.task(epoch, index) for epoch in range(40) for index in range(len(samples))]
    assert tasks.count("locate") / len(tasks) == pytest.approx(0.6, abs=0.05)


def test_a_batch_has_one_task_and_an_epoch_shows_no_image_twice(make):
    samples = make(AUGMENT)
    seen: list[tuple[int, int]] = []
    for position, (task, keys, rows) in batch_order(samples, 4, 0):
        if position.epoch > 0:
            break
        assert {samples.task(*key) for key in keys} == {task}
        assert rows == [samples.rows(epoch)[index] for epoch, index in keys]
        seen += keys
    assert len(seen) == len(set(seen))


def test_only_the_target_is_learned(make, processor):
    samples = make(None)
    batch = [samples[0, index] for index in range(3)]
    tensors = collate(processor, batch)
    for sample, ids, labels in zip(batch, tensors["input_ids"], tensors["labels"], strict=True):
        learned = ids[labels != -100]
        assert processor.tokenizer.decode(learned, skip_special_tokens=True) == sample.target
        assert learned[-1] == processor.tokenizer.eos_token_id


@pytest.fixture(scope="module")
def mixed(frame, schema):
    """The site's 24 images and five of two benchmarks, of which a share of one in four samples shall be."""
    rows = frame.head(5).with_columns(
        pl.Series("image_id", [f"{'slake' if n < 3 else 'vqa-rad'}:{n}" for n in range(5)]),
        captions=pl.col("captions").list.head(0),
        structures=pl.col("structures").list.head(0),
    )
    names = surface_forms(TableRows(frame).classes.meanings, schema)
    return Samples(
        TableRows(pl.concat([frame, rows])), names, SampleOptions(64, "yxyx", SHARES, 0, AUGMENT, public_share=0.25)
    )


def test_benchmarks_have_their_share_and_answer_questions_alone(mixed):
    assert len(mixed) == 24 + 8
    for epoch in range(2):
        tasks = mixed.tasks(epoch)
        assert sum(task in ("slake", "vqa-rad") for task in tasks) == 8
        for index in range(24, 32):
            sample = mixed[epoch, index]
            assert (sample.task, sample.target) == ("vqa", "CT") and "modality" in sample.text


def test_each_image_of_a_benchmark_gets_its_turn(mixed):
    tasks = np.concatenate([mixed.tasks(epoch)[24:] for epoch in range(5)])
    assert {name: int((tasks == name).sum()) for name in set(tasks)} == {"slake": 24, "vqa-rad": 16}


def test_what_a_site_learns_from_its_own_images_stays_the_same(mixed, make):
    alone = make(AUGMENT)
    assert list(mixed.tasks(3)[:24]) == list(alone.tasks(3))
    assert mixed[3, 7].text == alone[3, 7].text and np.array_equal(mixed[3, 7].image, alone[3, 7].image)


def test_caption_is_the_text_without_tags_and_with_the_prior_knowledge(make, frame):
    shares = {"locate": 0.0, "detect": 0.0, "vqa": 0.0, "caption": 1.0}
    texts = {caption["text"] for captions in frame["captions"] for caption in captions}
    whole, varied = make(None, shares=shares), make(AUGMENT, shares=shares)
    for index in range(len(whole)):
        sample = whole[0, index]
        prompt = {"en": "Caption this image: ", "de": "Beschreibe dieses Bild: "}[sample.language]
        assert sample.task == "caption" and sample.target in texts and sample.text.endswith(f"\n{prompt}")
    # In training nothing, the clinical information, the question or both come before the prompt, in validation both.
    assert len({sample_of.count("\n") for sample_of in (whole[0, index].text for index in range(len(whole)))}) == 1
    first = [varied[epoch, 0].text for epoch in range(24)]
    assert len({text.count(":") for text in first}) > 1
