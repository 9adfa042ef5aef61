"""The facts of an image for questions, collected from the rows of its tables."""

from collections.abc import Iterable, Mapping, Sequence

from refrad.anatomy.schema import Schema
from refrad.core.table_rows import AcceptedVolumeRow, CaptionRow, MentionRow, StructureRow
from refrad.grounding.vqa_checks import ImageFacts
from refrad.grounding.vqa_findings import CaptionFacts, plain_findings
from refrad.language.rule_classes import CYSTS

__all__ = ["CaptionMentions", "image_facts"]

CaptionMentions = Sequence[tuple[CaptionRow, Sequence[MentionRow]]]
"""Captions, each with its mentions."""


def image_facts(
    volume: AcceptedVolumeRow,
    structures: Sequence[StructureRow],
    captions: CaptionMentions,
    named: Mapping[str, Sequence[int]],
    schema: Schema,
) -> ImageFacts:
    """The facts of one image.

    Args:
        volume: of the image.
        structures: the classes in the image, one or more.
        captions: of the image, in both languages.
        named: language to the visible classes that its captions name.
        schema: of the classes.
    """
    spacing = volume["spacing_x"]
    areas = {row["class_id"]: row["area"] for row in structures}
    cysts = frozenset(schema.by_name[name].id for name in CYSTS if name in schema.by_name)
    mentions = [mention for _, rows in captions for mention in rows]
    of_language = {
        language: [(caption, rows) for caption, rows in captions if caption["language"] == language]
        for language in named
    }
    return ImageFacts(
        structures[0]["instance"],
        volume["modality"],
        volume["plane"],
        volume["contrast"],
        areas,
        named,
        {row["class_id"]: (row["x_max"] - row["x_min"]) * spacing for row in structures},
        {language: [caption["text"] for caption, _ in pairs] for language, pairs in of_language.items()},
        volume["split"],
        _classes(mentions, "present", "uncertain"),
        # A denied disease leaves its organ where it is; a denied cyst is not there.
        _classes(mentions, "absent") | (_classes(mentions, "negated") & cysts),
        {
            language: plain_findings([_caption_facts(*pair, areas, schema) for pair in pairs], language)
            for language, pairs in of_language.items()
        },
        volume["patient"],
    )


def _classes(mentions: Iterable[MentionRow], *assertions: str) -> frozenset[int]:
    return frozenset(mention["class_id"] for mention in mentions if mention["assertion"] in assertions)


def _caption_facts(
    caption: CaptionRow, mentions: Sequence[MentionRow], areas: Mapping[int, int], schema: Schema
) -> CaptionFacts:
    """A caption as the search for its finding reads it.

    The image shows the finding if the report names the image, or if the finding is a visible class: a cyst of the kidney. A
    caption that is tied to the largest slice of an organ says nothing about the place of the finding in it.
    """
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
