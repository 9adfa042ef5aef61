import pytest

from refrad.evaluation.metrics.record_keys import suggest_key


@pytest.mark.parametrize(
    ("key", "name"),
    [
        *((key, "answer") for key in ("prediction", "output", "response", "text", "Answer", "model_answer", "anwser")),
        *((key, "answer") for key in ("modelAnswer", "generated_text", "answers", "gt_answer")),
        *((key, "entities") for key in ("boxes", "entites", "bboxes", "Detections", "pred_boxes")),
        *(("bbox", "box"), ("segmentation", "mask"), ("label", "text"), ("question_id", "id"), ("answer_type", "kind")),
    ],
)
def test_misspelt_key_is_recognised(key, name):
    assert suggest_key({key: 1}, [name]) == f'did you mean "{name}" by "{key}"?'


@pytest.mark.parametrize("key", ["latency", "model", "seed", "cost", "the liver text is long", "answer" * 20])
def test_key_that_resembles_nothing_is_no_misspelling(key):
    assert suggest_key({"id": 1, key: 1}, ["answer", "entities"]) is None


def test_key_that_is_present_is_not_meant_by_another():
    assert suggest_key({"answer": "a", "prediction": "b"}, ["answer"]) is None
