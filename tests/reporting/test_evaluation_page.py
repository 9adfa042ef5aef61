import pytest

from refrad.reporting.evaluation_page import caption_bars, compare_with_chance


def question(kind, choices=()):
    return {
        "topic": "findings",
        "kind": kind,
        "language": "en",
        "choices": list(choices),
        "question": "?",
        "answer": "a",
    }


def vqa(**kinds):
    by_kind = {f"findings, {kind}": {"questions": n, "accuracy": accuracy} for kind, (n, accuracy) in kinds.items()}
    return {"accuracy": 0.4, "questions": sum(n for n, _ in kinds.values()), "by_kind": by_kind}


def test_chance_follows_from_the_choices_of_the_questions():
    questions = [question("yesno"), question("multiple", "abcd"), question("multiple", "ab"), question("open")]
    total, *rows = compare_with_chance(vqa(yesno=(30, 0.5), multiple=(10, 0.1)), questions)
    assert [(row["name"], row["chance"]) for row in rows] == [
        ("findings, yes or no", 0.5),
        ("findings, multiple", pytest.approx((1 / 4 + 1 / 2) / 2)),
    ]
    assert (total["name"], total["questions"], total["accuracy"]) == ("all", 40, 0.4)
    assert total["chance"] == pytest.approx((30 * 0.5 + 10 * 0.375) / 40)


def test_chance_of_an_unknown_kind_is_not_guessed():
    rows = compare_with_chance(vqa(yesno=(30, 0.5), multiple=(10, 0.1)), [question("yesno")])
    assert [row["name"] for row in rows] == ["findings, yes or no"]
    assert compare_with_chance({}, [question("yesno")]) == [] == compare_with_chance(vqa(yesno=(1, 1.0)), [])


def test_recall_of_free_captions_stands_next_to_its_baselines():
    free = {"visible": 0.9, "verified": 0.7, "class_recall": 0.2, "g_iou": 0.1}
    baselines = {"named": 5, "visible": 40, "answered": 5, "chance": 0.125, "most_named": 0.4}
    bars = caption_bars({"free": free, "marks": "boxes", "caption_baselines": baselines})
    assert [value for _, value in bars] == [0.9, 0.7, 0.2, 0.4, 0.125, 0.1]
    masks = caption_bars({"free": free, "marks": "masks", "caption_baselines": None})
    assert [value for _, value in masks] == [0.9, 0.7, 0.2, 0.1] and "masks" in masks[1][0]
