"""Phrases with boxes in the text of each dialect: once, nested ones and ones of several classes too."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.dataset.examples import ExampleCaption, ExampleMention, ExampleQuestion, ImageExample
from refrad.dataset.exports.conversations import LOCATED, exchanges_of, languages_of
from refrad.dataset.exports.dialects import INTERNVL, LLAVA, QWEN2_5, QWEN3

BOX, WIDE, INNER = (0.1, 0.2, 0.5, 0.6), (0.0, 0.0, 1.0, 1.0), (0.2, 0.3, 0.4, 0.5)
SIZE = (224, 224)
NAMES = {2: "rechte Niere", 3: "linke Niere", 5: "Leber"}


def image(text="Leber o. B.", mentions=(), language="de", boxes=None, questions=(), image_id="i"):
    captions = (ExampleCaption(language, text, None, None, tuple(mentions)),) if text else ()
    return ImageExample(image_id, "p", "CT", {}, boxes or {}, captions, tuple(questions))


def mention(text, phrase, *targets):
    start = text.index(phrase)
    return ExampleMention(start, start + len(phrase), phrase, tuple(targets))


def caption_of(text, *mentions):
    return exchanges_of(image(text, mentions), "de", {})[0]


NESTED = "Zyste der linken Niere, sonst o. B."
WHOLE = mention(NESTED, "Zyste der linken Niere", (23, INNER))
PART = mention(NESTED, "linken Niere", (3, BOX))
SEVERAL = mention("Nieren o. B.", "Nieren", (2, BOX), (3, WIDE))


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        (
            LLAVA,
            "Zyste der linken Niere [0.200, 0.300, 0.400, 0.500] (linken Niere [0.100, 0.200, 0.500, 0.600]), sonst o. B.",
        ),
        (
            INTERNVL,
            "<ref>Zyste der linken Niere</ref><box>[[200, 300, 400, 500]]</box>"
            " (<ref>linken Niere</ref><box>[[100, 200, 500, 600]]</box>), sonst o. B.",
        ),
    ],
    ids=["llava", "internvl"],
)
def test_nested_phrase_is_written_once(dialect, text):
    assert dialect.answer(caption_of(NESTED, WHOLE, PART), SIZE) == text


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        (LLAVA, "Nieren [0.100, 0.200, 0.500, 0.600] [0.000, 0.000, 1.000, 1.000] o. B."),
        (INTERNVL, "<ref>Nieren</ref><box>[[100, 200, 500, 600], [0, 0, 1000, 1000]]</box> o. B."),
    ],
    ids=["llava", "internvl"],
)
def test_phrase_of_several_classes_has_their_boxes(dialect, text):
    assert dialect.answer(caption_of("Nieren o. B.", SEVERAL), SIZE) == text


@pytest.mark.parametrize(
    ("dialect", "box"), [(QWEN2_5, [22, 45, 112, 134]), (QWEN3, [100, 200, 500, 600])], ids=["px", "1000"]
)
def test_json_list_follows_the_text(dialect, box):
    answer = dialect.answer(caption_of(NESTED, WHOLE, PART), SIZE)
    text, block = re.fullmatch(r"(.*)\n```json\n(.*)\n```", answer, re.DOTALL).groups()
    entries = json.loads(block)
    assert text == NESTED and [entry["label"] for entry in entries] == ["Zyste der linken Niere", "linken Niere"]
    assert entries[1]["bbox_2d"] == box


def test_json_dialect_demands_json_only_where_there_are_boxes():
    assert "bbox_2d" in QWEN3.prompt(caption_of(NESTED, WHOLE))
    assert "bbox_2d" not in QWEN3.prompt(caption_of(NESTED)) and QWEN3.answer(caption_of(NESTED), SIZE) == NESTED


def test_overlapping_phrase_follows_the_first():
    text = "Leber und Milz o. B."
    overlap = [mention(text, "Leber und", (5, BOX)), mention(text, "und Milz", (1, WIDE))]
    answer = LLAVA.answer(caption_of(text, *overlap), SIZE)
    assert answer.startswith("Leber und [0.100") and "(und Milz [0.000" in answer and answer.endswith(") Milz o. B.")


def test_same_phrase_given_twice_has_one_box():
    twice = mention("Leber o. B.", "Leber", (5, BOX), (5, BOX))
    assert LLAVA.answer(caption_of("Leber o. B.", twice), SIZE).count("[") == 1


@pytest.mark.parametrize("word", ["<image>", "<bbox>", "</box>", "<ref-object>", "<|im_end|>", "<IMAGE>"])
def test_reserved_words_of_reports_lose_their_bracket(word):
    text = f"Leber {word} o. B."
    leber = mention(text, "Leber", (5, BOX))
    question = ExampleQuestion("de", "findings", "open", f"Was {word}?", (), word)
    exchanges = exchanges_of(image(text, [leber], questions=[question]), "de", NAMES)
    assert all(word not in INTERNVL.prompt(exchange) + exchange.answer for exchange in exchanges)
    assert exchanges[0].answer == text.replace("<", "‹")


def test_smaller_than_sign_stays():
    assert caption_of("Herd < 5 mm, <1 cm").answer == "Herd < 5 mm, <1 cm"


def test_structures_are_located_up_to_a_limit_and_at_the_end():
    boxes = dict.fromkeys(range(1, 30), BOX)
    names = {class_id: f"Organ {class_id}" for class_id in range(1, 30)}
    question = ExampleQuestion("de", "findings", "open", "Was?", (), "Das.")
    exchanges = exchanges_of(image("", boxes=boxes, questions=[question]), "de", names)
    assert [exchange.kind for exchange in exchanges] == ["question"] + ["locate"] * LOCATED
    assert exchanges == exchanges_of(image("", boxes=boxes, questions=[question]), "de", names)
    assert INTERNVL.prompt(exchanges[1]) == f"Lokalisiere: <ref>{exchanges[1].name}</ref>"
    assert json.loads(QWEN3.answer(exchanges[1], SIZE).strip("`json\n"))[0]["bbox_2d"] == [100, 200, 500, 600]


def test_sentences_of_a_report_are_joined_with_their_spans():
    first, second = "Leber o. B.", "Milz groß."
    captions = tuple(
        ExampleCaption("de", text, "Schmerz", "Blutung?", (mention(text, phrase, (class_id, BOX)),))
        for text, phrase, class_id in ((first, "Leber", 5), (second, "Milz", 1))
    )
    joined = exchanges_of(ImageExample("i", "p", "CT", {}, {}, captions, ()), "de", {})[0]
    assert [joined.answer[m.start : m.end] for m in joined.mentions] == ["Leber", "Milz"]
    assert joined.prompt.startswith("Klinische Angaben: Schmerz\nFragestellung: Blutung?\n")


@pytest.mark.parametrize(("language", "languages"), [("de", ["de"]), ("en", ["en"]), ("fr", [])])
def test_languages_without_prompts_have_no_conversation(language, languages):
    assert languages_of(image(language=language)) == languages


@st.composite
def marked_sentences(draw):
    """A sentence with up to six phrases anywhere in it, each with one to three boxes."""
    text = draw(st.text("Leber ,.-<5[", min_size=1, max_size=30))
    spans = st.integers(0, len(text) - 1).flatmap(
        lambda start: st.tuples(st.just(start), st.integers(start + 1, len(text)))
    )
    mentions = []
    for start, end in draw(st.lists(spans, max_size=6, unique=True)):
        boxes = draw(st.lists(st.sampled_from([BOX, WIDE, INNER]), min_size=1, max_size=3, unique=True))
        mentions.append(ExampleMention(start, end, text[start:end], tuple(enumerate(boxes, 1))))
    return text, tuple(mentions)


@given(marked_sentences())
def test_each_phrase_and_box_is_written_once_and_the_text_stays(sentence):
    text, mentions = sentence
    exchange = caption_of(text, *mentions)
    boxes = sum(len(mention.targets) for mention in mentions)
    tagged = INTERNVL.answer(exchange, SIZE)
    assert tagged.count("<ref>") == tagged.count("</box>") == len(mentions)
    assert len(re.findall(r"\[\d+, \d+, \d+, \d+\]", tagged)) == boxes
    nested = re.compile(r" \(<ref>[^>]*</ref><box>[^>]*</box>\)")
    assert re.sub(r"</?ref>|<box>.*?</box>", "", nested.sub("", tagged)) == text
    answer = QWEN3.answer(exchange, SIZE)
    listed = json.loads(answer.removeprefix(f"{text}\n").strip("`json\n")) if mentions else []
    assert answer.startswith(text) and len(listed) == boxes
    assert {entry["label"] for entry in listed} == {mention.text for mention in mentions}


def test_ungrounded_sentence_is_prompted_without_boxes():
    prompts = [caption_of("Leber o. B.", *group).prompt for group in ((), (mention("Leber o. B.", "Leber", (5, BOX)),))]
    assert prompts == ["Beschreibe dieses Bild", "Beschreibe dieses Bild und detektiere Schlüsselwörter"]
