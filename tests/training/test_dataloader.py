"""The order of batches: every sample is in one, so that tasks and benchmarks have their shares however few their samples are."""

import itertools
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.dataset.example_rows import TableRows
from refrad.training.dataloader import WINDOW, BatchOrder, DataPosition, batch_order
from refrad.training.task_mixture import TaskMixture

TASKS = ("caption", "locate", "slake")


class TaskCounts:
    """Samples of which each epoch has given numbers of each task, from a list that begins again at its end."""

    def __init__(self, counts):
        self.counts = counts

    def __len__(self):
        return sum(self.counts[0]) or 1

    def tasks(self, epoch):
        return np.repeat(TASKS, self.counts[epoch % len(self.counts)])

    names = TASKS

    def codes(self, epoch):
        return np.repeat(np.arange(3), self.counts[epoch % len(self.counts)])

    def rows(self, epoch):
        return np.arange(len(self.tasks(epoch))) * 10 + epoch

    def lengths(self, rows, task):
        return (rows * 37 % 41 + len(task)).astype(float)


def batches_of(samples, batch, epochs, seed=0):
    order = BatchOrder(samples, batch, seed)
    return [drawn for epoch in range(epochs) for drawn in order.batches(epoch)]


numbers_of_tasks = st.lists(st.tuples(*[st.integers(0, 30)] * 3), min_size=1, max_size=4).filter(
    lambda counts: any(map(sum, counts))
)


@given(numbers_of_tasks, st.integers(1, 40), st.integers(1, 12))
def test_each_sample_is_in_one_batch_and_fewer_than_a_batch_of_each_task_wait(counts, batch, epochs):
    samples = TaskCounts(counts)
    drawn = Counter()
    for task, keys, rows in batches_of(samples, batch, epochs):
        assert len(keys) == batch
        assert rows == [samples.rows(epoch)[index] for epoch, index in keys]
        assert {samples.tasks(epoch)[index] for epoch, index in keys} == {task}
        drawn.update(keys)
    assert set(drawn.values()) <= {1}
    every = {(epoch, index): task for epoch in range(epochs) for index, task in enumerate(samples.tasks(epoch))}
    waiting = Counter(task for key, task in every.items() if key not in drawn)
    assert all(number < batch for number in waiting.values())


@given(numbers_of_tasks, st.integers(1, 9), st.data())
def test_order_resumes_at_any_batch(counts, batch, data):
    samples = TaskCounts(counts)
    turns = list(itertools.islice(batch_order(samples, batch, 3), 25))
    number = data.draw(st.integers(0, 23))
    assert next(batch_order(samples, batch, 3, turns[number][0])) == turns[number + 1]


@given(st.lists(st.tuples(*[st.integers(0, 2 * WINDOW)] * 3), min_size=1, max_size=3), st.integers(1, 4))
def test_epoch_of_complete_batches_has_the_order_of_version_3(batches, batch):
    samples = TaskCounts([tuple(number * batch for number in of_epoch) for of_epoch in batches])
    order = BatchOrder(samples, batch, 5)
    for epoch in range(len(batches)):
        expected = version_3(samples, batch, 5, epoch)
        assert [[index for _, index in drawn.keys] for drawn in order.batches(epoch)] == expected
        assert {key[0] for drawn in order.batches(epoch) for key in drawn.keys} <= {epoch}


def version_3(samples, batch, seed, epoch):
    """Each epoch for itself, and incomplete batches left out: as stage train was up to its version 3."""
    rng = np.random.default_rng((seed, epoch))
    tasks = samples.tasks(epoch)
    order = rng.permutation(len(tasks))
    batches = []
    for task in sorted(set(tasks.tolist())):
        group = order[tasks[order] == task]
        lengths = samples.lengths(samples.rows(epoch), task)
        for first in range(0, len(group), WINDOW * batch):
            window = sorted(group[first : first + WINDOW * batch].tolist(), key=lambda index: lengths[index])
            batches += [window[i : i + batch] for i in range(0, len(window) - batch + 1, batch)]
    return [batches[i] for i in rng.permutation(len(batches))]


class MixtureSamples:
    """The samples of a mixture of 60 images of a site and two benchmarks of 30 and 10 images."""

    def __init__(self, share, shares):
        caption = {"language": "en", "text": "Liver.", "entities": [{"text": "Liver", "class_id": 5}]}
        frame = pl.DataFrame(
            {
                "image_id": [
                    *(f"{n:03d}" for n in range(60)),
                    *(f"slake:{n}" for n in range(30)),
                    *(f"vqa:{n}" for n in range(10)),
                ],
                "captions": [[caption]] * 60 + [[]] * 40,
                "structures": [[5]] * 60 + [[]] * 40,
                "questions": [[{"question": "?"}]] * 100,
            }
        )
        self.mixture = TaskMixture(TableRows(frame), shares, share, 0)
        self.codes, self.rows, self.names = self.mixture.codes, self.mixture.rows, self.mixture.names

    def __len__(self):
        return len(self.mixture)

    def lengths(self, rows, _task):
        return np.zeros(len(rows))


@pytest.mark.parametrize("share", [0.005, 0.05, 0.2])
def test_benchmarks_of_few_samples_an_epoch_are_seen_by_their_share(share):
    # 60 / (1 - share) samples an epoch: 60.3, 63.2 and 75, of which 0.3, 3.2 and 15 are of benchmarks; a batch has 24.
    epochs = 800
    drawn = batches_of(MixtureSamples(share, {"locate": 0.9, "detect": 0.1}), 24, epochs)
    counts = Counter(task for task, keys, _ in drawn for _ in keys)
    benchmarks = counts["slake"] + counts["vqa"]
    assert benchmarks == pytest.approx(epochs * 60 * share / (1 - share), abs=48)
    assert counts["slake"] == pytest.approx(0.75 * benchmarks, abs=30)  # 30 of 40 images


def test_both_benchmarks_are_seen_from_the_beginning():
    mixture = MixtureSamples(0.05, {"locate": 1.0}).mixture
    first = Counter(task for epoch in range(4) for task in mixture.tasks(epoch)[60:].tolist())  # 13 of the 40 images
    assert first == {"slake": 10, "vqa": 3}


@given(st.sampled_from([0.005, 0.05, 0.3]), st.integers(1, 30), st.integers(0, 60))
def test_rows_of_benchmarks_are_drawn_equally_often(share, epochs, first):
    mixture = MixtureSamples(share, {"locate": 1.0}).mixture
    drawn = Counter(row for epoch in range(first, first + epochs) for row in mixture.rows(epoch)[60:].tolist())
    times = [drawn[row] for row in range(60, 100)]
    assert max(times) - min(times) <= 1


def test_tasks_of_small_share_are_seen_by_their_share():
    drawn = batches_of(MixtureSamples(0.0, {"locate": 0.94, "detect": 0.03, "caption": 0.03}), 24, 1000)
    counts = Counter(task for task, keys, _ in drawn for _ in keys)
    # 60,000 samples, 1,800 of them of each of the small tasks, with a standard deviation of 42.
    assert counts["detect"] == pytest.approx(1800, abs=170) and counts["caption"] == pytest.approx(1800, abs=170)
    images = Counter(row for _, _, rows in drawn for row in rows)
    assert max(images.values()) <= 1000 and min(images.values()) >= 1000 - 3 * 23


def test_position_after_the_last_batch_of_an_epoch_is_the_next_epoch():
    samples = TaskCounts([(0, 3, 0)])
    positions = [position for position, _ in itertools.islice(batch_order(samples, 4, 0), 4)]
    # Three samples an epoch, batches of four: epochs 1, 2 and 3 complete one each, 0 and 4 none.
    assert positions == [DataPosition(2, 0), DataPosition(3, 0), DataPosition(4, 0), DataPosition(6, 0)]
