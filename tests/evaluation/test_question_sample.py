import polars as pl
import pytest

from refrad.evaluation.question_sample import draw_questions, evenly, merge_samples


def images(*kinds):
    """Test images by kind: grounded, free (a caption without a region), silent (no caption); each has a question but silent ones."""
    rows = [
        {
            "image_id": f"image{number:02}",
            "captions": [] if kind == "silent" else [{"text": "x", "entities": [{"text": "x"}] * (kind == "grounded")}],
            "questions": [] if kind == "silent" else ["?"],
        }
        for number, kind in enumerate(kinds)
    ]
    entity = pl.Struct({"text": pl.String})
    caption = pl.Struct({"text": pl.String, "entities": pl.List(entity)})
    return pl.DataFrame(
        rows, schema={"image_id": pl.String, "captions": pl.List(caption), "questions": pl.List(pl.String)}
    )


def counts(sample):
    return {task: len(ids) for task, ids in sample.images.items()}


def test_rare_grounded_images_are_not_displaced_by_others():
    sample = draw_questions(images(*["free"] * 40, *["grounded"] * 4, *["silent"] * 3), samples=4)
    assert counts(sample) == {"locate": 4, "detect": 4, "caption": 4, "vqa": 4}
    assert sample.images["locate"] == {"image40", "image41", "image42", "image43"} == sample.images["detect"]
    assert sample.image_ids == sample.images["locate"] | sample.images["caption"]
    assert not sample.asks("locate", "image00") and sample.asks("caption", "image00")


def test_images_of_one_kind_have_one_sample_for_all_tasks():
    sample = draw_questions(images(*["grounded"] * 9), samples=3)
    assert set(sample.images.values()) == {frozenset({"image00", "image04", "image08"})}


def test_images_without_captions_have_questions_alone():
    frame = images("free", "silent").with_columns(
        captions=pl.lit(None, pl.List(pl.Struct({"entities": pl.List(pl.String)})))
    )
    assert counts(draw_questions(frame, samples=5)) == {"locate": 0, "detect": 0, "caption": 0, "vqa": 1}


def test_samples_of_datasets_are_merged():
    first, second = (draw_questions(images(*kinds), samples=1) for kinds in (["grounded"], ["silent", "free"]))
    assert counts(merge_samples([first, second])) == {"locate": 1, "detect": 1, "caption": 2, "vqa": 2}


@pytest.mark.parametrize(
    ("count", "samples", "indices"), [(3, 5, [0, 1, 2]), (5, 3, [0, 2, 4]), (0, 3, []), (4, 1, [0])]
)
def test_indices_lie_at_equal_distances(count, samples, indices):
    assert evenly(count, samples) == indices
