import json

import pytest

from refrad.evaluation.metrics.records import PredictionRecord, TruthRecord, read_records
from refrad.evaluation.metrics.scoring import score_items

OPEN = {"id": "q", "task": "vqa", "kind": "open", "answer": "liver"}
BOX = {"id": "q", "task": "locate", "entities": [{"text": "liver", "box": [10, 10, 20, 20]}]}
MASK = {"id": "q", "task": "locate", "entities": [{"text": "s", "mask": {"size": [4, 4], "counts": [0, 4, 12]}}]}
SQUARE = [0, 0, 1, 0, 1, 4, 0, 4]  # the first column of 4 x 4 px


def scored(tmp_path, truth, prediction):
    for name, row in (("truth", truth), ("predictions", prediction)):
        (tmp_path / f"{name}.jsonl").write_text("\n" + (row if isinstance(row, str) else json.dumps(row)))
    questions = read_records(tmp_path / "truth.jsonl", TruthRecord)
    answers = read_records(tmp_path / "predictions.jsonl", PredictionRecord, questions)
    items, counts = score_items(questions, answers)
    return dict(items.select("metric", "value").iter_rows()), counts


def of(**keys):
    return {"id": "q", **keys}


def entity(**keys):
    return of(entities=[{"text": "liver", **keys}])


@pytest.mark.parametrize(
    ("truth", "prediction", "words"),
    [
        *((OPEN, of(**{key: "a liver"}), f'did you mean "answer" by "{key}"') for key in ("prediction", "Answer")),
        (BOX, of(boxes=[[0, 0, 9, 9]]), 'did you mean "entities" by "boxes"'),
        (BOX, entity(bbox=[0, 0, 9, 9]), 'either a box or a mask; did you mean "box" by "bbox"'),
        (BOX, of(entities=[{"label": "a liver", "box": [0, 0, 9, 9]}]), 'did you mean "text" by "label"'),
        (OPEN, {"question_id": "q", "answer": "a liver"}, 'did you mean "id" by "question_id"'),
        *((BOX, entity(box=box), "a maximum is below") for box in ([20, 10, 10, 20], [10, 200, 60, 60])),
        *((BOX, entity(box=[10, 10, 20, bad]), "entities.0.box.3") for bad in ("wide", None, True, "20")),
        (BOX, '{"id": "q", "entities": [{"text": "liver", "box": [NaN, 1, 2, 3]}]}', "finite"),
        (BOX, '{"id": "q", "entities": [{"text": "liver", "box": [1, 1, 1e400, 3]}]}', "finite"),
        (BOX, entity(box=[0.1, 0.1, 0.2, 0.2]), "the truth has boxes in pixels, the prediction boxes in shares"),
        (
            BOX,
            entity(mask={"size": [4, 4], "counts": [16]}),
            "the truth has boxes in pixels, the prediction masks of 4",
        ),
        (BOX, entity(class_id=True, box=[1, 1, 2, 2]), "class_id"),
        (MASK, entity(box=[0, 0, 1, 4]), "the truth has masks of 4 x 4 px"),
        (MASK, entity(mask={"size": [5, 5], "counts": [25]}), "the prediction masks of 5 x 5 px"),
        (MASK, entity(mask=[SQUARE]), "a polygon needs the width and height"),
        (MASK | {"size": [4, 4]}, entity(mask=[[0, 0, 99, 0, 99, 99]]), "reaches beyond its image"),
        *((OPEN, {"id": bad, "answer": "a liver"}, "id: a text or a whole number") for bad in (True, 1.5, None, [1])),
        *((OPEN, of(answer=bad), "answer") for bad in (True, ["a liver"], {"a": 1}, float("nan"))),
    ],
)
def test_row_that_would_score_0_is_refused(tmp_path, truth, prediction, words):
    with pytest.raises(ValueError, match=r"predictions\.jsonl, line 2: ") as error:
        scored(tmp_path, truth, prediction)
    assert words in str(error.value) and "a liver" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"entities": [{"text": "s", "box": [20, 20, 10, 10]}]}, "a maximum is below"),
        ({"entities": [{"text": "s", "box": [300, 10, 320, 20]}], "size": [256, 256]}, "outside of the image"),
        ({"size": [0, 256]}, "size.0"),
        ({"size": [256]}, "size"),
        ({"size": [256, 256], "midline": 300}, "midline is an x within the image"),
        ({"midline": 0.5}, "midline is a share"),
        ({"entities": [{"text": "s", "mask": {"size": [4, 4], "counts": [5, 2]}}]}, "must add up to height x width"),
        ({"entities": [{"text": "s", "mask": [SQUARE]}]}, "a polygon needs"),
        (
            {"entities": [{"text": "s", "box": [1, 1, 9, 9]}, {"text": "t", "box": [0.1, 0.1, 0.9, 0.9]}]},
            "several kinds",
        ),
    ],
)
def test_wrong_truth_is_refused(tmp_path, change, words):
    with pytest.raises(ValueError, match=r"truth\.jsonl, line 2: ") as error:
        scored(tmp_path, BOX | change, entity(box=[1, 1, 2, 2]))
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("truth", "answer", "accuracy"),
    [
        ({"kind": "closed", "answer": 2}, "2", 1),
        ({"kind": "closed", "answer": "3"}, 3, 1),
        ({"kind": "closed", "answer": 5}, 6, 0),
        ({"kind": "CLOSED ", "answer": "MRI"}, "mri;", 1),
        ({"kind": "Yes/No", "answer": "no"}, "no", 1),
        ({"kind": "multiple-choice", "answer": "MRI"}, "MRI", 1),
        ({"task": "VQA", "kind": "closed", "answer": "MRI", "group": 17}, "MRI", 1),
    ],
)
def test_numbers_and_spellings_of_vqa_rad_are_read(tmp_path, truth, answer, accuracy):
    assert scored(tmp_path, OPEN | truth, of(answer=answer))[0]["accuracy"] == accuracy


@pytest.mark.parametrize(
    ("truth", "prediction"),
    [
        *((OPEN, prediction) for prediction in (of(answer=None), of(), of(latency=0.3), of(answer=" "))),
        *((BOX, prediction) for prediction in (of(entities=[]), of(entities=None, answer="liver"))),
    ],
)
def test_prediction_that_says_nothing_is_counted(tmp_path, truth, prediction):
    assert scored(tmp_path, truth, prediction)[1]["empty answers"] == 1


def test_further_keys_are_no_error(tmp_path):
    values, counts = scored(tmp_path, OPEN, of(answer="liver", latency=0.3, logprob=float("-inf"), output="raw"))
    assert values["f1"] == 1 and counts["empty answers"] == 0


@pytest.mark.parametrize(
    "mask", [[SQUARE], SQUARE, {"size": [4, 4], "polygons": [SQUARE]}, {"size": [4, 4], "counts": "04<"}]
)
def test_polygon_and_run_lengths_of_one_mask_are_equal(tmp_path, mask):
    """Both cover the first column; of the second column they would share 0."""
    assert scored(tmp_path, MASK | {"size": [4, 4]}, of(entities=[{"text": "s", "mask": mask}]))[0]["iou"] == 1
    first = of(entities=[{"text": "s", "mask": mask}], task="locate", size=[4, 4])
    column = of(entities=[{"text": "s", "mask": {"size": [4, 4], "counts": [4, 4, 8]}}])
    assert scored(tmp_path, first, column)[0]["iou"] == 0


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        (of(entities=[[10, 10, 20, 20]]), "entities.0: must be an object"),
        (of(entities={"text": "a liver"}), "entities: must be a list"),
        (entity(box={"x_min": 10}), "a box is four finite numbers"),
        (entity(box=[10, 10, 20, "20"]), "a box is four finite numbers"),
        (of(answer=["a liver"]), "answer: must be a text"),
        ({"answer": "a liver"}, "id: is missing"),
    ],
)
def test_message_names_what_is_wanted(tmp_path, prediction, words):
    with pytest.raises(ValueError, match=r"predictions\.jsonl, line 2: ") as error:
        scored(tmp_path, BOX, prediction)
    assert words in str(error.value) and "a liver" not in str(error.value)


@pytest.mark.parametrize("box", [[100, 100, 600, 600], [-100, 10, 20, 20]])
def test_boxes_beyond_their_image_are_told(tmp_path, caplog, box):
    scored(tmp_path, BOX | {"size": [400, 400]}, entity(box=box))
    assert "predictions.jsonl: 1 rows have boxes beyond their image" in caplog.text


def test_boxes_at_the_edge_of_their_image_are_not_told(tmp_path, caplog):
    scored(tmp_path, BOX | {"size": [400, 400]}, entity(box=[-1, 10, 410, 400]))
    assert not caplog.text


@pytest.mark.parametrize(
    ("keys", "meant"), [({"patient_id": "p"}, '"group" by "patient_id"'), ({"midlin": 5}, '"midline" by "midlin"')]
)
def test_misspelt_optional_key_of_the_truth_is_told(tmp_path, caplog, keys, meant):
    scored(tmp_path, BOX | keys, entity(box=[10, 10, 20, 20]))
    assert meant in caplog.text
    caplog.clear()
    scored(tmp_path, BOX | {"group": "p", "image_id": "x", "note": "y"}, entity(box=[10, 10, 20, 20]))
    assert not caplog.text


def test_boxes_of_unclear_unit_are_compared_with_a_warning(tmp_path, caplog):
    """[0, 0, 1, 1] is a pixel of [0, 0, 2, 2], or the whole image in shares."""
    truth = BOX | {"entities": [{"text": "liver", "box": [0, 0, 2, 2]}]}
    assert scored(tmp_path, truth, entity(box=[0, 0, 1, 1]))[0]["iou"] == 0.25
    assert "the first is line 2" in caplog.text


def test_entities_that_are_left_out_are_not_an_empty_list():
    unstated, empty = (PredictionRecord.model_validate({"id": "a"} | more) for more in ({}, {"entities": []}))
    assert unstated.entities == empty.entities == ()
    assert (unstated.is_given, empty.is_given) == (False, True)


def test_rows_share_repeated_texts(tmp_path):
    row = '{{"id": "{}", "task": "locate", "group": "patient 1", "entities": [{{"text": "left kidney", "box": [0, 0, 1, 1]}}]}}\n'
    path = tmp_path / "truth.jsonl"
    path.write_text(row.format("a") + row.format("b"))
    first, second = read_records(path, TruthRecord).values()
    assert first.group is second.group and first.entities[0].text is second.entities[0].text
    assert not hasattr(first, "__dict__") and not hasattr(first.entities[0], "__dict__")
