"""The mentions of one text, to look at: `refrad mentions --text "..." --language de`."""

import json
from pathlib import Path

from refrad.anatomy.lexicon import load_lexicon
from refrad.core.types import LANGUAGES
from refrad.language.mention_finder import find_mentions
from refrad.language.sections import detect_language

__all__ = ["main"]


def main(*, text: str, language: str | None = None, lexicon: Path = Path("workflow/anatomy/lexicon.yaml")) -> None:
    """Print the mentions of TEXT as JSON; the language (de or en) is guessed if it is not given.

    Raises:
        ValueError: if the language is another one.
    """
    if language is not None and language not in LANGUAGES:
        raise ValueError(f"--language must be {' or '.join(LANGUAGES)}")
    found = find_mentions(text, language or detect_language(text), load_lexicon(lexicon))
    keys = ("text", "start", "end", "classes", "assertion")
    entities = [{key: getattr(mention, key) for key in keys} for mention in found]
    print(json.dumps({"entities": entities}, ensure_ascii=False))
