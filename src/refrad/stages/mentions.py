"""Find the anatomical mentions of the captions: verbatim spans, their classes, and how they are asserted."""

import logging
from pathlib import Path

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.config import MentionsOptions
from refrad.fingerprint import Fingerprint
from refrad.language.mentions import find_mentions
from refrad.tables import CaptionTable, MentionTable, frame_of, read_table, write_table
from refrad.tally import Tally

__all__ = ["VERSION", "run"]

log = logging.getLogger(__name__)

VERSION = 2


def run(
    *, captions: Path, lexicon: Path, schema: Path, mentions: Path, metrics: Path, fingerprint: Fingerprint
) -> None:
    """Write the mentions of one shard: a row for every span and class.

    Raises:
        ValueError: if the lexicon names a class that the schema does not have.
    """
    options = MentionsOptions.model_validate(fingerprint.options)
    tally = Tally("captions")
    words = load_lexicon(lexicon)
    anatomy = load_schema(schema)
    classes = anatomy.by_name
    if unknown := words.classes - set(classes):
        raise ValueError(f"{lexicon}: class {min(unknown)} is not in {schema.name}: correct it there or here")
    rows = []
    for caption, language, text in read_table(captions, CaptionTable).select("caption", "language", "text").iter_rows():
        tally.take()
        with tally.timed("finding"):
            found = find_mentions(text, language, words)
        # A level or rib of the rules need not be in an edited schema.
        spans = [(one, sorted({classes[name].id for name in one.classes if name in classes})) for one in found]
        for one, ids in spans:
            for class_id in ids:
                tally.add(f"class in {language}", anatomy.by_id[class_id].name)
                rows.append(
                    {
                        **{"caption": caption, "start": one.start, "end": one.end, "text": one.text},
                        **{"class_id": class_id, "assertion": one.assertion, "backend": options.finder},
                    }
                )
            if ids:
                tally.add("assertion", one.assertion)
                tally.make("mentions")
        if any(ids for _, ids in spans):
            tally.use()
        else:
            tally.put_aside("no_mention")
    log.info("mentions: %d captions, %d with a mention", tally.taken, tally.used)
    write_table(mentions, frame_of(rows, MentionTable), MentionTable, fingerprint)
    tally.write(metrics, fingerprint)
