from dataclasses import replace

import pytest

from refrad.dataset.examples import ExampleMention, example_of_row, read_image_table
from refrad.dataset.image_codec import decode_mask
from refrad.evaluation.questions import build_questions


@pytest.fixture(scope="module")
def image(images):
    return example_of_row(read_image_table([images], {"test"}).row(0, named=True))


def test_questions_cover_mentions_captions_and_pairs(image):
    questions = build_questions(image)
    assert [question.task for question in questions] == ["locate", "locate", "detect", "caption", "vqa"]
    assert [len(question.targets) for question in questions[:2]] == [1, 1]
    assert questions[2].answer == questions[3].answer == image.captions[0].text
    assert questions[3].targets == ()


def test_ungrounded_caption_is_asked_for_without_regions(image):
    ungrounded = replace(
        image.captions[0], text="Normal.", language="en", indication="pain", question="Tumour?", mentions=()
    )
    questions = build_questions(replace(image, captions=(ungrounded,), questions=()))
    (question,) = questions
    assert (question.task, question.answer) == ("caption", "Normal.")
    assert question.text == "<image>\nClinical information: pain\nQuestion: Tumour?\nCaption this image: "
    mixed = build_questions(replace(image, captions=(ungrounded, replace(image.captions[0], language="en"))))
    answers = {question.task: question.answer for question in mixed if question.task in ("detect", "caption")}
    assert answers == {"detect": image.captions[0].text, "caption": "Normal."}


def test_question_ids_are_the_same_in_every_run(image):
    assert [question.id for question in build_questions(image)] == [question.id for question in build_questions(image)]
    assert {question.id for question in build_questions(image)}.isdisjoint(
        question.id for question in build_questions(image, "slake")
    )


def test_phrase_of_several_classes_is_one_mask_and_several_boxes(image):
    mention = ExampleMention(0, 5, "Both", tuple(image.boxes.items()))
    both = replace(image, captions=(replace(image.captions[0], mentions=(mention,)),))
    locate = next(question for question in build_questions(both, masks=True) if question.task == "locate")
    (target,) = locate.targets
    assert target.key == "both" and decode_mask(target.region["counts"], *target.region["size"]).sum() == 800
    boxes = next(question for question in build_questions(both) if question.task == "locate").targets
    assert [target.key for target in boxes] == list(image.boxes)
