"""Labelled sentences of task mentions."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from refrad.acceptance.labelled_item import Anatomy, LabelledItem, LabelVerdict, judged, load_labels
from refrad.anatomy.schema import Schema
from refrad.llm import Answer, Request

__all__ = ["mention_items"]

_BRACES = re.compile(r"(.*)\{(.*)\}(.*)")

Claims = Mapping[str, set[str]]
"""Class to its assertions."""


def mention_items(anatomy: Anatomy, form: type[Answer]) -> Iterator[LabelledItem]:
    """A sentence, with the mentions that a right answer has. `form` is the answer of the task, with the classes of the schema.

    Sentences with a class that the site's schema lacks are left out.
    """
    for language, labels in load_labels("mentions").items():
        for number, label in enumerate(labels, 1):
            right, wrong = ([_read_mention(line) for line in label[key]] for key in ("mentions", "wrong"))
            names = {name for mention in (*right, *wrong) for name in mention["classes"]}
            if not names <= anatomy.schema.by_name.keys():
                continue
            optional = _finest(label.get("optional", "").split(), anatomy.schema)
            yield LabelledItem(
                f"mentions-{language}-{number}",
                Request(language, {"sentence": label["sentence"]}),
                form.model_validate({"mentions": [_first_assertion(mention) for mention in right]}),
                form.model_validate({"mentions": [_first_assertion(mention) for mention in wrong]}),
                partial(_judge_mentions, _claims(right, anatomy.schema), optional, anatomy.schema),
            )


def _read_mention(line: str) -> dict[str, Any]:
    """A mention from its line in the file; `assertion` is a set, of those that are right."""
    span, _, claim = line.partition(" = ")
    names, _, assertion = claim.partition(" | ")
    accepted = set((assertion or "present").split(" or "))
    braces = _BRACES.fullmatch(names)
    classes = [f"{braces[1]}{part}{braces[3]}" for part in braces[2].split(",")] if braces else [names]
    return {"span": span, "classes": classes, "assertion": accepted}


def _first_assertion(mention: Mapping[str, Any]) -> dict[str, Any]:
    return {**mention, "assertion": min(mention["assertion"])}


def _finest(names: Iterable[str], schema: Schema) -> set[str]:
    """The finest parts of the classes, so that a larger structure and all of its parts are the same."""
    known = [schema.by_name[name] for name in names if name in schema.by_name]
    return {schema.by_id[part].name for entry in known for part in (schema.parts(entry.id) or frozenset({entry.id}))}


def _claims(mentions: Iterable[Mapping[str, Any]], schema: Schema) -> Claims:
    claims: defaultdict[str, set[str]] = defaultdict(set)
    for mention in mentions:
        for name in _finest(mention["classes"], schema):
            claims[name] |= mention["assertion"]
    return claims


def _judge_mentions(expected: Claims, optional: set[str], schema: Schema, answer: Any) -> list[LabelVerdict]:
    claims = _claims(
        ({"classes": mention.classes, "assertion": {mention.assertion}} for mention in answer.mentions), schema
    )
    if expected.keys() - claims.keys():
        return judged("class missing")
    if claims.keys() - expected.keys() - optional:
        return judged("class added")
    changed = [name for name in expected if not claims[name] <= expected[name]]
    return judged("assertion changed" if changed else None)
