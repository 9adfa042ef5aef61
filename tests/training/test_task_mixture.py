"""The mixture of tasks: every image of the site in each epoch, and the shares of the config with any number of ungrounded images."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.dataset.example_rows import TableRows
from refrad.training.task_mixture import TASKS, TaskMixture

ENTITY = pl.Struct({"text": pl.String, "class_id": pl.Int16})
CAPTIONS = pl.List(pl.Struct({"language": pl.String, "text": pl.String, "entities": pl.List(ENTITY)}))
PAPER = {"locate": 0.0, "detect": 0.3, "vqa": 0.3, "caption": 0.4}


def rows(grounded, ungrounded, benchmark=0, questions=1):
    """Rows with a grounded caption, then some without, then those of a benchmark."""
    caption = {"language": "en", "text": "Liver.", "entities": [{"text": "Liver", "class_id": 5}]}
    kinds = [([caption], [5])] * grounded + [([caption | {"entities": []}], [5])] * ungrounded + [([], [])] * benchmark
    return pl.DataFrame(
        {
            "image_id": [f"slake:{number}" for number in range(len(kinds))],
            "captions": [captions for captions, _ in kinds],
            "structures": [structures for _, structures in kinds],
            "questions": [[{"question": "?"}] * questions] * len(kinds),
        },
        schema_overrides={
            "image_id": pl.String,
            "captions": CAPTIONS,
            "structures": pl.List(pl.Int16),
            "questions": pl.List(pl.Struct({"question": pl.String})),
        },
    )


@pytest.mark.parametrize(("grounded", "ungrounded"), [(400, 0), (300, 100), (100, 400), (20, 400)])
def test_shares_hold_with_any_number_of_ungrounded_images(grounded, ungrounded):
    mixture = TaskMixture(TableRows(rows(grounded, ungrounded)), PAPER, 0.0, 0)
    counts = Counter(task for epoch in range(30) for task in mixture.tasks(epoch).tolist())
    for task, share in PAPER.items():
        assert counts[task] / counts.total() == pytest.approx(share, abs=0.03)


@given(
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 1),
    st.lists(st.sampled_from([0.0, 0.2, 1.0]), min_size=4, max_size=4).filter(any),
)
def test_ungrounded_images_never_serve_tasks_with_boxes(grounded, ungrounded, questions, weights):
    shares = dict(zip(TASKS, weights, strict=True))
    mixture = TaskMixture(TableRows(rows(grounded, ungrounded, questions=questions)), shares, 0.0, 3)
    order, tasks = mixture.rows(1), mixture.tasks(1)
    assert len(order) == len(tasks) == len(mixture)
    assert set(tasks[order >= grounded]) <= {"vqa", "caption"}
    assert set(range(grounded)) <= set(order.tolist())  # each grounded image once or more
    if not questions and shares["caption"]:
        assert "vqa" not in tasks
    if shares["caption"] or (shares["vqa"] and questions):
        assert np.count_nonzero(order >= grounded) == ungrounded  # each ungrounded one once
    else:
        assert (order < grounded).all()


def test_grounded_images_alone_are_drawn_by_the_shares_themselves():
    shares = {"locate": 0.6, "detect": 0.2, "vqa": 0.2}
    mixture = TaskMixture(TableRows(rows(50, 0)), shares, 0.0, 0)
    drawn = np.random.default_rng((0, 4, 0)).random(50)
    # 0 to 0.6 is locate, 0.6 to 0.8 detect, the rest vqa.
    expected = ["locate" if value < 0.6 else "detect" if value < 0.8 else "vqa" for value in drawn]
    assert mixture.tasks(4).tolist() == expected and mixture.rows(4).tolist() == list(range(50))


def test_further_turns_of_grounded_images_go_on_in_the_next_epoch():
    mixture = TaskMixture(TableRows(rows(4, 12)), {"locate": 0.5, "caption": 0.5}, 0.0, 0)
    # 12 captions are half of 24 samples: 12 grounded turns for 4 images, 4 once and 8 further ones.
    assert len(mixture) == 24
    assert Counter(mixture.rows(0).tolist()) == {**dict.fromkeys(range(4), 3), **dict.fromkeys(range(4, 16), 1)}


def test_public_share_is_of_all_samples():
    mixture = TaskMixture(TableRows(rows(10, 20, benchmark=5)), PAPER, 0.5, 0)
    assert mixture.tasks(0).tolist().count("slake") == len(mixture) / 2


def test_questions_of_benchmarks_take_turns_through_the_epochs():
    mixture = TaskMixture(TableRows(rows(12, 0, benchmark=10)), PAPER, 0.25, 0)  # four of sixteen samples
    drawn = [row - 12 for epoch in range(5) for row in mixture.rows(epoch)[12:].tolist()]
    assert drawn == [*range(10), *range(10)]
