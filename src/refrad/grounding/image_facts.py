"""The facts of an image for questions, collected from the rows of its tables."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from refrad.anatomy.schema import Schema
from refrad.core.table_rows import AcceptedVolumeRow, CaptionRow, MentionRow, StructureRow
from refrad.grounding.vqa_checks import ImageFacts
from refrad.grounding.vqa_findings import CaptionFacts, plain_findings
from refrad.language.rule_classes import CYSTS

__all__ = ["PairedCaption", "image_facts"]

CYST = re.compile("[cz]yst", re.IGNORECASE)


class PairedCaption(NamedTuple):
    """A caption of an image, its mentions, and the visible classes that its boxes have: none if it is not grounded there."""

    row: CaptionRow
    mentions: Sequence[MentionRow]
    classes: Sequence[int]


def image_facts(
    instance: str,
    volume: AcceptedVolumeRow,
    structures: Sequence[StructureRow],
    captions: Sequence[PairedCaption],
    schema: Schema,
) -> ImageFacts:
    """The facts of one image.

    The questions are about its grounded captions, or about all if it has none. They must not contradict any caption.

    Args:
        instance: pseudonym of the image.
        volume: of the image.
        structures: the classes in the image.
        captions: of the image, in both languages, one or more.
        schema: of the classes.
    """
    spacing = volume["spacing_x"]
    areas = {row["class_id"]: row["area"] for row in structures}
    cysts = frozenset(schema.by_name[name].id for name in CYSTS if name in schema.by_name)
    mentions = [mention for caption in captions for mention in caption.mentions]
    grounded = [caption for caption in captions if caption.classes]
    of_language: dict[str, list[PairedCaption]] = {}
    for caption in grounded or captions:
        of_language.setdefault(caption.row["language"], []).append(caption)
    # An ungrounded caption may say "cyst" without a mention of the class.
    is_cyst_named = any(CYST.search(caption.row["text"]) for caption in captions if not caption.classes)
    return ImageFacts(
        instance,
        volume["modality"],
        volume["plane"],
        volume["contrast"],
        areas,
        {
            language: [class_id for caption in group for class_id in caption.classes]
            for language, group in of_language.items()
        },
        {row["class_id"]: (row["x_max"] - row["x_min"]) * spacing for row in structures},
        {language: [caption.row["text"] for caption in group] for language, group in of_language.items()},
        volume["split"],
        _classes(mentions, "present", "uncertain") | (cysts if is_cyst_named else frozenset()),
        # A denied disease leaves its organ where it is; a denied cyst is not there.
        _classes(mentions, "absent") | (_classes(mentions, "negated") & cysts),
        {
            language: plain_findings([_caption_facts(caption, areas, schema) for caption in group], language)
            for language, group in of_language.items()
        },
        volume["patient"],
        bool(grounded),
    )


def _classes(mentions: Iterable[MentionRow], *assertions: str) -> frozenset[int]:
    return frozenset(mention["class_id"] for mention in mentions if mention["assertion"] in assertions)


def _caption_facts(paired: PairedCaption, areas: Mapping[int, int], schema: Schema) -> CaptionFacts:
    """A caption as the search for its finding reads it.

    The image shows the finding if the report names the image, or if the finding is a visible class: a cyst of the kidney. A
    caption that is tied to the largest slice of an organ says nothing about the place of the finding in it.
    """
    caption, mentions = paired.row, paired.mentions
    classes = {mention["class_id"] for mention in mentions}
    names = {class_id: schema.by_id[class_id].name for class_id in classes}
    cysts = {class_id for class_id in classes if names[class_id] in CYSTS}
    wholes = {class_id for class_id in classes if schema.parts(class_id) & classes}
    tied = set(areas) if caption["tie"] != "structure" else set()
    tied |= {schema.by_name[names[class_id].replace("_cyst", "")].id for class_id in cysts & areas.keys()}
    return CaptionFacts(
        caption["text"],
        frozenset(classes - cysts - wholes),
        all(mention["assertion"] == "present" for mention in mentions),
        frozenset(tied & areas.keys()),
    )
