"""The document of a FiftyOne dataset: its name, classes and the declaration of the fields of its samples."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from refrad.core.types import LANGUAGES

__all__ = ["VERSION", "dataset_document"]

VERSION = "1.0.0"
"""Of FiftyOne, whose form the documents have: this release and later ones import it."""

Document = dict[str, Any]
FIELDS, LABELS = "fiftyone.core.fields.", "fiftyone.core.labels."
ZERO, TIME = {"$oid": "0" * 24}, {"$date": "2000-01-01T00:00:00.000Z"}
STRING, NUMBER, SHARE, LIST = "StringField", "IntField", "FloatField", "ListField"


def dataset_document(class_names: Sequence[str], licence: str) -> Document:
    """The content of metadata.json. The importer gives the dataset its own id, name and times.

    Args:
        class_names: of all classes.
        licence: name of the terms, shown among the dataset's information.
    """
    return {
        "_id": ZERO,
        "name": "refrad",
        "slug": "refrad",
        "version": VERSION,
        "created_at": TIME,
        "last_modified_at": TIME,
        "last_loaded_at": TIME,
        "sample_collection_name": "samples",
        "persistent": False,
        "media_type": "image",
        "group_media_types": {},
        "tags": [],
        "info": {"made by": "RefRad", "terms": licence},
        "app_config": {"media_fields": ["filepath"], "grid_media_field": "filepath", "modal_media_field": "filepath"},
        "classes": {"structures": list(class_names), "phrases": list(class_names)},
        "default_classes": [],
        "mask_targets": {},
        "default_mask_targets": {},
        "skeletons": {},
        "sample_fields": list(_sample_fields()),
    }


def _sample_fields() -> Iterable[Document]:
    yield _field("id", "ObjectIdField", column="_id")
    yield _field("filepath", STRING)
    yield _field("tags", LIST, of=STRING)
    sizes = [_field("size_bytes", NUMBER), _field("mime_type", STRING)]
    sizes += [_field(name, NUMBER) for name in ("width", "height", "num_channels")]
    yield _document("metadata", "fiftyone.core.metadata.ImageMetadata", sizes)
    yield _field("created_at", "DateTimeField")
    yield _field("last_modified_at", "DateTimeField")
    for name in ("image_id", "volume", "study", "patient"):
        yield _field(name, STRING)
    for name in ("modality", "plane", "body_part"):
        yield _document(name, f"{LABELS}Classification", [*_label_fields(), _field("confidence", SHARE)])
    yield _detections("structures", {"class_id": NUMBER, "area": NUMBER})
    numbers = dict.fromkeys(("start", "end", "class_id"), NUMBER)
    words = dict.fromkeys(("phrase", "sentence", "language", "via"), STRING)
    yield _detections("phrases", words | numbers | {"one_sided": "BooleanField"})
    for language in LANGUAGES:
        yield _field(f"sentences_{language}", LIST, of=STRING)
        yield _field(f"questions_{language}", LIST, of=STRING)


def _detections(name: str, attributes: Mapping[str, str]) -> Document:
    """A field of detections, with further attributes of each."""
    fields = [
        *_label_fields(),
        _field("attributes", "DictField", of="EmbeddedDocumentField", document=f"{LABELS}Attribute"),
        _field("bounding_box", LIST, of=SHARE),
        _field("mask", "ArrayField"),
        _field("mask_path", STRING),
        _field("confidence", SHARE),
        _field("index", NUMBER),
        *(_field(attribute, kind) for attribute, kind in attributes.items()),
    ]
    detections = _field("detections", LIST, of="EmbeddedDocumentField", document=f"{LABELS}Detection", fields=fields)
    return _document(name, f"{LABELS}Detections", [detections])


def _label_fields() -> list[Document]:
    return [_field("id", "ObjectIdField", column="_id"), _field("tags", LIST, of=STRING), _field("label", STRING)]


def _document(name: str, document: str, fields: Sequence[Document]) -> Document:
    return _field(name, "EmbeddedDocumentField", document=document, fields=fields)


def _field(
    name: str,
    kind: str,
    *,
    of: str | None = None,
    document: str | None = None,
    fields: Sequence[Document] = (),
    column: str | None = None,
) -> Document:
    """The declaration of a field; `of` is the kind of the values of a list, `document` the class of an embedded document."""
    return {
        "name": name,
        "ftype": f"{FIELDS}{kind}",
        "embedded_doc_type": document,
        "subfield": f"{FIELDS}{of}" if of else None,
        "fields": list(fields),
        "db_field": column or name,
        "description": None,
        "info": None,
    }
