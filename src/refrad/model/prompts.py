"""The prompts of RadGrounder, in the two languages.

A sequence is: image tokens, bos, newline, prefix, newline, prompt, space, newline, target, eos. `prompt_text` makes the part
between bos and the last newline; PaliGemma's processor adds the rest. For models with a chat template see `message_of`.
"""

from collections.abc import Sequence

__all__ = [
    "MAX_NAMES",
    "caption_prompt",
    "detect_prompt",
    "every_prompt",
    "locate_prompt",
    "message_of",
    "prefix",
    "prompt_text",
    "vqa_prompt",
    "vqa_text",
]

IMAGE = "<image>"
MAX_NAMES = 1  # structures in one prompt, at most

LOCATE = {"en": "Locate: {}", "de": "Lokalisiere: {}"}
CAPTION = {"en": "Caption this image:", "de": "Beschreibe dieses Bild:"}
DETECT = {
    "en": "Caption this image and detect keywords:",
    "de": "Beschreibe dieses Bild und detektiere Schlüsselwörter:",
}
SEGMENT = {
    "en": "Caption this image and segment keywords:",
    "de": "Beschreibe dieses Bild und segmentiere die Schlüsselwörter:",
}
OUTLINE = {"en": "Segment: {}", "de": "Segmentiere: {}"}
ANSWER = {"en": "Answer:", "de": "Antwort:"}
INDICATION = {"en": "Clinical information: {}", "de": "Klinische Angaben: {}"}
QUESTION = {"en": "Question: {}", "de": "Fragestellung: {}"}


def locate_prompt(names: Sequence[str], language: str, masks: bool = False) -> str:
    """The prompt for the boxes, or masks, of named structures."""
    return (OUTLINE if masks else LOCATE)[language].format(", ".join(names))


def caption_prompt(language: str) -> str:
    """The prompt for a caption without boxes."""
    return CAPTION[language]


def detect_prompt(language: str, masks: bool = False) -> str:
    """The prompt for a caption with boxes, or with masks."""
    return (SEGMENT if masks else DETECT)[language]


def vqa_prompt(question: str, choices: Sequence[str], language: str) -> str:
    """The prompt of a question; each choice is on a separate line. Questions in a third language end with the English word."""
    return "\n".join([question, *choices, ANSWER.get(language, ANSWER["en"])])


def vqa_text(question: str, choices: Sequence[str], language: str) -> str:
    """Text of a question; its target is the answer."""
    return prompt_text(vqa_prompt(question, choices, language))


def prefix(language: str, indication: str | None, question: str | None) -> str:
    """The prior knowledge of the radiologist: clinical information, question, both or nothing (an empty string)."""
    parts = [(INDICATION, indication), (QUESTION, question)]
    return "\n".join(label[language].format(text) for label, text in parts if text)


def prompt_text(prompt: str, before: str = "") -> str:
    """The text given to the processor together with an image, from a prompt and a prefix."""
    return f"{IMAGE}\n{before}\n{prompt} "


def message_of(text: str) -> str:
    """The prefix and the prompt of a text of `prompt_text`, for a model whose turns a chat template marks."""
    return text.removeprefix(IMAGE).strip()


def every_prompt() -> list[str]:
    """All wordings of this module, for a tokenizer to learn."""
    return [
        text.format("")
        for wording in (LOCATE, CAPTION, DETECT, OUTLINE, SEGMENT, ANSWER, INDICATION, QUESTION)
        for text in wording.values()
    ]
