"""Find the anatomical mentions of the captions: verbatim spans, their classes, and how they are asserted."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from refrad.anatomy.lexicon import Lexicon, load_lexicon
from refrad.anatomy.schema import Schema, load_schema
from refrad.config import MentionsOptions
from refrad.core.contracts import CaptionTable, MentionTable
from refrad.core.table_rows import MentionRow
from refrad.core.tables import frame_of, read_table, write_table
from refrad.language.llm_mentions import compare_finders, find_with_model
from refrad.language.mention_finder import TextMention, find_mentions
from refrad.language.rule_classes import schema_warnings
from refrad.llm import open_models
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["VERSION", "run"]

log = logging.getLogger(__name__)

VERSION = 3


def run(
    *,
    captions: Path,
    lexicon: Path,
    schema: Path,
    mentions: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    llm: str | None = None,
) -> None:
    """Write the mentions of one shard: a row for every span and class.

    Raises:
        ValueError: if the lexicon names a class that the schema does not have, or a model cannot be reached.
    """
    options = MentionsOptions.model_validate(fingerprint.options)
    tally = Tally("captions")
    anatomy = load_schema(schema)
    words = load_lexicon(lexicon, anatomy)
    for warning in schema_warnings(words, anatomy):
        log.warning("mentions: %s", warning)
    rows: list[MentionRow] = []
    table = read_table(captions, CaptionTable).select("caption", "language", "text", "patient").rows()
    results = _find_mentions(table, options, llm, words, anatomy, tally)
    for (caption, language, *_), (caption_mentions, backend) in zip(table, results, strict=True):
        tally.take()
        if caption_mentions is None:
            tally.quarantine("model_failed")
            continue
        mention_count = 0
        for mention in caption_mentions:
            ids = sorted({anatomy.by_name[name].id for name in mention.classes})
            for class_id in ids:
                tally.add(f"class in {language}", anatomy.by_id[class_id].name)
                rows.append(
                    MentionRow(
                        caption=caption,
                        start=mention.start,
                        end=mention.end,
                        text=mention.text,
                        class_id=class_id,
                        assertion=mention.assertion,
                        backend=backend,
                    )
                )
            if ids:
                tally.add("assertion", mention.assertion)
                tally.make("mentions")
                mention_count += 1
        tally.use() if mention_count else tally.quarantine("no_mention")
    log.info("mentions: %d captions, %d with a mention", tally.taken, tally.used)
    write_table(mentions, frame_of(rows, MentionTable), MentionTable, fingerprint)
    tally.write(metrics, fingerprint)


def _find_mentions(
    table: Sequence[tuple[str, str, str, str]],
    options: MentionsOptions,
    llm: str | None,
    words: Lexicon,
    anatomy: Schema,
    tally: Tally,
) -> Iterator[tuple[list[TextMention] | None, str]]:
    """For each (caption, language, text, patient) its mentions and the name of the finder; None where the model failed without a fallback."""
    if options.finder == "lexicon":
        for _, language, text, _ in table:
            with tally.timed("finding"):
                by_lexicon = find_mentions(text, language, words)
            yield by_lexicon, "lexicon"
        return
    with open_models(llm) as models:
        name = models.name("mentions")
        sentences = ((text, language) for _, language, text, _ in table)
        replies = find_with_model(sentences, models, words, anatomy, (patient for *_, patient in table))
        for (_, language, text, _), by_model in zip(table, replies, strict=True):
            by_lexicon = find_mentions(text, language, words)
            if by_model is not None:
                tally.add("found by", name)
                for outcome, number in compare_finders(by_model, by_lexicon).items():
                    tally.add("classes in a caption, model and lexicon", outcome, number)
                yield by_model, name
            elif options.finder == "both":
                tally.add("found by", f"lexicon, after {name} failed")
                yield by_lexicon, "lexicon"
            else:
                yield None, name
        models.account(tally)
