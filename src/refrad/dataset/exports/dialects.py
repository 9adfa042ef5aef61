"""How trainers of chat models write boxes: one record a dialect.

LLaVA       liver [0.100, 0.200, 0.300, 0.400]: after the phrase, shares (LLaVA-1.5, arXiv:2310.03744)
Qwen-VL     the text, then a JSON list of {"bbox_2d": [...], "label": ...}: pixels of the picture for Qwen2.5-VL,
            thousandths for Qwen2-VL and Qwen3-VL (QwenLM/Qwen3-VL, qwen-vl-finetune/README.md and cookbooks)
InternVL    <ref>liver</ref><box>[[100, 200, 300, 400]]</box>, thousandths
            (internvl.readthedocs.io, get_started/chat_data_format)
ms-swift    <ref-object><bbox>, with names and boxes apart (swift.readthedocs.io, Customization/Custom-dataset)

A phrase of several classes has one box a class. A phrase inside of another, or across its end, follows it in parentheses.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from refrad.dataset.examples import ExampleMention
from refrad.dataset.exports.box_units import PIXELS, SHARES, THOUSANDTHS, BoxUnit
from refrad.dataset.exports.conversations import Exchange

__all__ = ["INTERNVL", "LLAVA", "QWEN2_5", "QWEN3", "Dialect", "in_text"]

Size = tuple[int, int]
WritePhrase = Callable[[str, list[list[str]]], str]
"""A phrase with its boxes, each four coordinates, as text."""

AS_JSON: Mapping[str, str] = {
    "en": "Give the boxes as JSON with bbox_2d and label.",
    "de": "Gib die Boxen als JSON mit bbox_2d und label an.",
}


@dataclass(frozen=True)
class Dialect:
    """A way of writing exchanges.

    Attributes:
        unit: of the coordinates.
        phrase: writes a phrase with its boxes in the text; None for a JSON list after the text.
        name: the name of a structure in a locate prompt, `{}` for the name.
        multiple: the sides of the picture are multiples of this, px, so that the trainer does not resize it.
    """

    unit: BoxUnit
    phrase: WritePhrase | None
    name: str = "{}"
    multiple: int = 1

    def prompt(self, exchange: Exchange) -> str:
        """The text of the question."""
        prompt = exchange.prompt_naming(self.name.format(exchange.name))
        wants_boxes = bool(exchange.mentions) and self.phrase is None
        return f"{prompt}\n{AS_JSON[exchange.language]}" if wants_boxes else prompt

    def answer(self, exchange: Exchange, size: Size) -> str:
        """The text of the answer with its boxes; `size` of the picture, px."""
        if not exchange.mentions:
            return exchange.answer
        if self.phrase is not None:
            write = self.phrase
            return in_text(exchange, lambda mention: write(mention.text, self._boxes(mention, size)))
        boxes = "[\n" + ",\n".join(self._json_boxes(exchange.mentions, size)) + "\n]"
        text = "" if exchange.kind == "locate" else f"{exchange.answer}\n"
        return f"{text}```json\n{boxes}\n```"

    def _boxes(self, mention: ExampleMention, size: Size) -> list[list[str]]:
        return [self.unit.encode(box, size) for _, box in mention.targets]

    def _json_boxes(self, mentions: Sequence[ExampleMention], size: Size) -> list[str]:
        return [
            f'\t{{"bbox_2d": [{", ".join(box)}], "label": {json.dumps(mention.text, ensure_ascii=False)}}}'
            for mention in mentions
            for box in self._boxes(mention, size)
        ]


def in_text(exchange: Exchange, write: Callable[[ExampleMention], str]) -> str:
    """The answer with each of its phrases replaced by what `write` returns for it.

    A phrase that begins inside of an earlier one follows that one in parentheses, since tags of most formats do not nest.
    """
    pieces, position = list[str](), 0
    for mention in sorted(exchange.mentions, key=lambda mention: (mention.start, -mention.end)):
        if mention.start < position:
            pieces.append(f" ({write(mention)})")
            continue
        pieces += [exchange.answer[position : mention.start], write(mention)]
        position = mention.end
    return "".join([*pieces, exchange.answer[position:]])


def _after_phrase(text: str, boxes: list[list[str]]) -> str:
    return f"{text} {' '.join('[' + ', '.join(box) + ']' for box in boxes)}"


def _in_tags(text: str, boxes: list[list[str]]) -> str:
    return f"<ref>{text}</ref><box>[{', '.join('[' + ', '.join(box) + ']' for box in boxes)}]</box>"


LLAVA = Dialect(SHARES, _after_phrase)
QWEN2_5 = Dialect(PIXELS, None, multiple=28)
QWEN3 = Dialect(THOUSANDTHS, None)
INTERNVL = Dialect(THOUSANDTHS, _in_tags, name="<ref>{}</ref>")
