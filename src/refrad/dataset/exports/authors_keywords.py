"""The keywords of the paper's released loaders: the phrases of a sentence that the loaders can box without a mistake.

The loaders look a keyword up in its sentence as whole words, tag every place where it stands, and give it one box. So a phrase is a
keyword only if all of its places name the same, and if no longer keyword overlaps with it. They clean the sentence first, which puts
a space behind punctuation and takes it away before, so a phrase that this would change is none either. A keyword has one class, as
in the data of the paper.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from refrad.dataset.exports.export_tally import ExportTally
from refrad.dataset.exports.source import ClassNames
from refrad.dataset.shard_rows import CaptionStruct, EntityStruct

__all__ = ["Keyword", "keywords_of", "masks_are_in_order"]

Keyword = list[str | int]
"""Text, class name and class of a grounded phrase."""

NO_WORD = "the loaders look for whole words, and the phrase is a part of one"
AMBIGUOUS = "the phrase stands elsewhere in the sentence too, where it names something else; the loaders would box both"
CLEANED = "the loaders change the spaces or signs of the phrase, and would not find it"
INSIDE = "the phrase overlaps with a longer one, and the loaders' tags do not nest"
CHANGED = re.compile(r"\s[.,:;!?]|[.,:;!?][^\s.,:;!?]|[^\S ]")
"""Of the text of a phrase, what the loaders' cleaning changes: spaces before punctuation, none behind it, and odd spaces."""
ONE_CLASS = "the phrase has several classes, and a keyword has one: that of the largest box"


def keywords_of(caption: CaptionStruct, names: ClassNames, tally: ExportTally) -> list[Keyword]:
    """The keywords of a sentence, each text once, in the order of their first places; phrases are counted in the tally."""
    phrases: dict[str, list[EntityStruct]] = {}
    for entity in sorted(caption["entities"], key=lambda entity: (entity["start"], entity["end"])):
        phrases.setdefault(entity["text"], []).append(entity)
    keywords: list[Keyword] = []
    usable = {text: entities for text, entities in phrases.items() if _can_be_found(text, entities, caption, tally)}
    apart = _without_overlap(usable, caption["text"])
    for text, entities in usable.items():
        if text not in apart:
            tally.leave_out("phrases", INSIDE, len(entities))
            continue
        largest = max(entities, key=lambda entity: (_area(entity), -entity["class_id"]))["class_id"]
        written = sum(entity["class_id"] == largest for entity in entities)
        tally.written["phrases"] += written
        tally.leave_out("phrases", ONE_CLASS, len(entities) - written)
        keywords.append([text, names[largest], largest])
    return keywords


def masks_are_in_order(keywords: Sequence[Keyword], sentence: str) -> bool:
    """Whether the segmentation loader pairs each tag of a sentence with its own mask.

    It tags the places of whole words, and counts masks keyword by keyword, the longest first, for each place of its letters.
    """
    texts = {str(text): class_id for text, _, class_id in keywords}
    tagged = [text for text in texts if not any(text in longer for longer in texts if longer != text)]
    masks = [texts[text] for text in sorted(tagged, key=len, reverse=True) for _ in range(sentence.count(text))]
    tags = sorted((start, texts[text]) for text in tagged for start in _places(text, sentence))
    return [class_id for _, class_id in tags] == masks[: len(tags)]


def _without_overlap(texts: Iterable[str], sentence: str) -> set[str]:
    """The longest phrases no places of which overlap."""
    chosen: dict[str, list[tuple[int, int]]] = {}
    for text in sorted(texts, key=lambda text: (-len(text), text)):
        spans = [(place, place + len(text)) for place in _places(text, sentence)]
        taken = [span for others in chosen.values() for span in others]
        if not any(start < end and begin < stop for start, stop in spans for begin, end in taken):
            chosen[text] = spans
    return set(chosen)


def _can_be_found(text: str, entities: Sequence[EntityStruct], caption: CaptionStruct, tally: ExportTally) -> bool:
    """Whether the places of a phrase in its sentence are those that the loaders find, and all name the same classes."""
    if CHANGED.search(text) or not text.isprintable():
        tally.leave_out("phrases", CLEANED, len(entities))
        return False
    places = _places(text, caption["text"])
    classes: Mapping[int, set[int]] = {place: set() for place in places}
    for entity in entities:
        if entity["start"] not in classes:
            tally.leave_out("phrases", NO_WORD, len(entities))
            return False
        classes[entity["start"]].add(entity["class_id"])
    if any(named != classes[places[0]] for named in classes.values()):
        tally.leave_out("phrases", AMBIGUOUS, len(entities))
        return False
    return True


def _places(text: str, sentence: str) -> list[int]:
    """Where a text begins in a sentence as whole words.

    A text that begins or ends with a mark has none: next to a tag the loaders no longer find it ("/" in "Th12/L1").
    """
    return [match.start() for match in re.finditer(rf"\b(?=\w){re.escape(text)}(?<=\w)\b", sentence)]


def _area(entity: EntityStruct) -> int:
    return (entity["x_max"] - entity["x_min"]) * (entity["y_max"] - entity["y_min"])
