"""Print the mentions of one text: `refrad find-mentions "..." --language de`."""

import json
from pathlib import Path

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.core.installation import resolve_shipped
from refrad.core.types import LANGUAGES
from refrad.language.mention_finder import find_mentions
from refrad.language.sections import detect_language

__all__ = ["main"]

KEYS = ("text", "start", "end", "classes", "assertion")


def main(
    text: str,
    *,
    language: str | None = None,
    lexicon: Path = Path("workflow/anatomy/lexicon.yaml"),
    schema: Path | None = None,
) -> None:
    """Print the mentions of TEXT as JSON; the language (de or en) is detected if it is not given.

    With SCHEMA, the lexicon is checked against it and mentions have its classes only, as in the stage.

    Raises:
        ValueError: if the language is neither, or the lexicon names a class that the schema lacks.
    """
    if language is not None and language not in LANGUAGES:
        raise ValueError(f"--language must be {' or '.join(LANGUAGES)}")
    words = load_lexicon(resolve_shipped(lexicon), load_schema(resolve_shipped(schema)) if schema else None)
    mentions = find_mentions(text, language or detect_language(text), words)
    entities = [{key: getattr(mention, key) for key in KEYS} for mention in mentions]
    print(json.dumps({"entities": entities}, ensure_ascii=False))
