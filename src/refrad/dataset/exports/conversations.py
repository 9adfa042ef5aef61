"""Conversations about an image: its sentences with boxes, its questions, and where structures are, as the project trains them.

A conversation is a list of exchanges without any format; `refrad.dataset.exports.dialects` writes them.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from refrad.core.types import LANGUAGES
from refrad.dataset.examples import ExampleCaption, ExampleMention, ExampleQuestion, ImageExample
from refrad.dataset.exports.source import ClassNames
from refrad.model.prompts import caption_prompt, detect_prompt, locate_prompt, prefix, vqa_prompt

__all__ = ["LOCATED", "Exchange", "exchanges_of", "languages_of"]

LOCATED = 4  # structures that a conversation asks for, at most

# Words that trainers replace by a picture or read as a box; a report that has one keeps its letters, not its brackets.
RESERVED = re.compile(r"<(?=/?(?:image|video|audio|img|bbox|ref-object|ref|box|quad|point|p\b|seg)|\|)", re.IGNORECASE)


@dataclass(frozen=True)
class Exchange:
    """A question and its answer.

    Attributes:
        kind: caption, locate or question.
        prompt: the text of the question; that of locate ends with `name`.
        answer: the text of the answer.
        mentions: the phrases of the answer that have boxes, by their span in it.
        name: the structure that a locate question asks for.
    """

    kind: Literal["caption", "locate", "question"]
    language: str
    prompt: str
    answer: str
    mentions: tuple[ExampleMention, ...] = ()
    name: str = ""

    def prompt_naming(self, name: str) -> str:
        """The prompt with `name` in place of the structure's own."""
        return self.prompt.removesuffix(self.name) + name if self.name else self.prompt


def languages_of(image: ImageExample) -> list[str]:
    """The languages in which something is said or asked about an image."""
    languages = {caption.language for caption in image.captions} | {question.language for question in image.questions}
    return sorted(languages & set(LANGUAGES))


def exchanges_of(image: ImageExample, language: str, names: ClassNames) -> list[Exchange]:
    """All exchanges about an image in a language: its sentences at once, its questions, up to `LOCATED` structures.

    Args:
        image: with boxes as shares of its sides.
        language: de or en.
        names: class id to the name that people use in this language; classes without one are not asked for.
    """
    captions = [caption for caption in image.captions if caption.language == language]
    questions = [question for question in image.questions if question.language == language]
    return [
        *([_caption(captions, language)] if captions else []),
        *(_question(question) for question in questions),
        *_locating(image, language, names),  # at the end, since they name what questions ask for
    ]


def _caption(captions: list[ExampleCaption], language: str) -> Exchange:
    """The sentences in one text, with what the referring physician wrote as the prompt's beginning."""
    texts, mentions = "", list[ExampleMention]()
    for caption in captions:
        start = len(texts) + (1 if texts else 0)
        texts = f"{texts} {caption.text}" if texts else caption.text
        mentions += [
            ExampleMention(
                mention.start + start, mention.end + start, _plain(mention.text), tuple(dict.fromkeys(mention.targets))
            )
            for mention in caption.mentions
        ]
    before = prefix(language, captions[0].indication, captions[0].question)
    wording = detect_prompt(language) if mentions else caption_prompt(language)
    prompt = "\n".join(part for part in (before, wording.rstrip(":")) if part)
    return Exchange("caption", language, _plain(prompt), _plain(texts), tuple(mentions))


def _locating(image: ImageExample, language: str, names: ClassNames) -> Iterator[Exchange]:
    """A question for each of up to `LOCATED` visible structures, drawn by a digest, so that the same image has the same."""
    classes = sorted(
        (class_id for class_id in image.boxes if class_id in names), key=lambda i: _rank(image.image_id, i)
    )
    for class_id in sorted(classes[:LOCATED]):
        name = names[class_id]
        mention = ExampleMention(0, len(name), name, ((class_id, image.boxes[class_id]),))
        yield Exchange("locate", language, locate_prompt([name], language), name, (mention,), name)


def _rank(image_id: str, class_id: int) -> bytes:
    return hashlib.blake2b(f"{image_id} {class_id}".encode(), digest_size=8).digest()


def _question(question: ExampleQuestion) -> Exchange:
    prompt = vqa_prompt(question.question, question.choices, question.language)
    return Exchange("question", question.language, _plain(prompt), _plain(question.answer))


def _plain(text: str) -> str:
    """The text with the brackets of reserved words replaced by their look-alikes; as long as before, so spans stay."""
    return RESERVED.sub("‹", text)
