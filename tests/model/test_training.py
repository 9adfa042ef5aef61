import pytest

from refrad.model.radgrounder import tiny_model
from refrad.model.rows import picture_of, read_images
from refrad.model.samples import Samples, wordings
from refrad.model.training import Recipe, learning_rate_share, train

SHARES = {"locate": 1.0, "detect": 0.0, "vqa": 0.0}


@pytest.fixture(scope="module")
def samples(images, schema):
    frame = read_images([images], {"train"})
    names = wordings([picture_of(row) for row in frame.iter_rows(named=True)], schema)
    return Samples(frame, names, 64, "yxyx", SHARES, 0, augment=False)


def test_the_learning_rate_rises_and_then_falls_to_nothing():
    shares = [learning_rate_share(step / 1000) for step in range(1001)]
    peak = shares.index(max(shares))
    assert 0 < shares[0] < 0.1 and 40 <= peak <= 60 and shares[-1] == pytest.approx(0, abs=1e-9)


def test_training_lowers_the_loss_and_says_what_it_did(samples, processor):
    trained = train(tiny_model(processor, 0), processor, samples, samples, Recipe(30, None, 8, 1, 2e-3, 0))
    assert trained.curve[-1].loss < 0.7 * trained.curve[0].loss
    assert trained.curve[-1].validation_loss < trained.curve[0].validation_loss
    assert trained.steps == 30 and trained.tasks == {"locate": 240}


def test_time_ends_a_training_as_steps_do(samples, processor):
    trained = train(tiny_model(processor, 0), processor, samples, None, Recipe(10_000, 2.0, 4, 1, 1e-3, 0))
    assert trained.steps < 10_000 and trained.seconds < 10
    assert trained.curve[-1].validation_loss is None


def test_accumulated_batches_are_one_step(samples, processor):
    trained = train(tiny_model(processor, 0), processor, samples, None, Recipe(2, None, 4, 3, 1e-3, 0))
    assert sum(trained.tasks.values()) == 24
