"""Machine-readable metadata of the dataset: Croissant 1.0 (mlcommons.org/croissant) and RO-Crate 1.1 (w3id.org/ro/crate)."""

from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from typing import Any, get_args

import pyarrow as pa

from refrad.config.public_sets import SetPart
from refrad.dataset.columns import COLUMNS, IMAGE
from refrad.dataset.dataset_card import DatasetInfo
from refrad.dataset.file_list import DataFile
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["build_croissant", "build_distribution", "build_ro_crate"]

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
TYPES: Mapping[pa.DataType, str] = {
    pa.string(): "sc:Text",
    pa.binary(): "sc:Text",
    pa.int32(): "sc:Integer",
    pa.int64(): "sc:Integer",
    pa.float64(): "sc:Float",
    pa.bool_(): "sc:Boolean",
}


def build_croissant(
    about: DatasetInfo, files: Sequence[DataFile], columns: Sequence[str], terms: Mapping[str, str], today: date
) -> dict[str, Any]:
    """The dataset as Croissant: files with digests, and each column with its meaning and terms.

    Columns of structs have a sub-field for each simple member; deeper members (entities, choices, fingerprints) are
    only described, since Croissant 1.0 cannot express them.
    """
    fields = [
        {
            "description": f"{column.meaning}. Terms: {terms[column.name]}.",
            **_field(f"images/{column.name}", column.name, column.kind),
        }
        for column in COLUMNS
        if column.name in columns
    ]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": _slug(about.title),
        "description": f"{about.title}: slices of CT and MR with report sentences, boxes and masks.",
        "version": "1.0.0",
        "datePublished": today.isoformat(),
        "creator": {"@type": "Organization", "name": about.creator},
        "license": _licenses(about),
        "sdLicense": about.terms,
        "citeAs": " ".join(about.citations),
        "url": "README.md",
        "distribution": build_distribution(files),
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "images",
                "name": "images",
                "description": "One record for each image that has a caption.",
                "key": {"@id": "images/image_id"},
                "field": fields,
            }
        ],
    }


def _licenses(about: DatasetInfo) -> str | list[str]:
    """The terms of the site, then each license of the public sets: its address at SPDX, or in words with the set that has it."""
    parts = [(entry, entry.terms(part)) for entry in about.sets for part in get_args(SetPart)]
    of_sets = [terms.link or f"{entry.title}, {terms.text}: {entry.address}" for entry, terms in parts]
    return list(dict.fromkeys([about.terms, *of_sets])) if of_sets else about.terms


def build_distribution(files: Sequence[DataFile]) -> list[dict[str, Any]]:
    """The files of a dataset as Croissant: each with its digest, and the set of all."""
    objects = [
        {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path,
            "contentUrl": file.path,
            "contentSize": f"{file.size} B",
            "encodingFormat": "application/x-parquet",
            "sha256": file.sha256,
        }
        for file in files
    ]
    file_set = {
        "@type": "cr:FileSet",
        "@id": "parquet",
        "name": "parquet",
        "encodingFormat": "application/x-parquet",
        "includes": [file.path for file in files],
    }
    return [*objects, file_set]


def _field(identity: str, column: str, kind: pa.DataType) -> dict[str, Any]:
    """A column as a field; of a picture, its bytes; of structs, a sub-field for each simple member."""
    source: dict[str, Any] = {"fileSet": {"@id": "parquet"}, "extract": {"column": column}}
    field: dict[str, Any] = {"@type": "cr:Field", "@id": identity, "name": column}
    if kind == IMAGE:
        return field | {"dataType": "sc:ImageObject", "source": source | {"transform": {"jsonPath": "bytes"}}}
    repeated = pa.types.is_list(kind)
    inner = kind.value_type if repeated else kind
    if not pa.types.is_struct(inner):
        return field | {"dataType": TYPES[kind], "source": source}
    members = [
        {
            "@type": "cr:Field",
            "@id": f"{identity}/{member.name}",
            "name": member.name,
            "dataType": TYPES[member.type],
            "source": source | {"transform": {"jsonPath": member.name}},
        }
        for member in inner
        if member.type in TYPES
    ]
    return field | ({"repeated": True} if repeated else {}) | {"subField": members}


def build_ro_crate(
    about: DatasetInfo, files: Sequence[DataFile], fingerprints: Mapping[str, Fingerprint], today: date
) -> dict[str, Any]:
    """The run as RO-Crate: the files, and one action for each stage with its version, its options and the digests of its input."""
    refrad = {"@id": "#refrad", "@type": "SoftwareApplication", "name": "RefRad", "softwareVersion": version("refrad")}
    actions = [
        {
            "@id": f"#{stage}",
            "@type": "CreateAction",
            "name": f"refrad {stage}",
            "description": f"stage {stage}, version {fingerprint.version}",
            "instrument": {"@id": "#refrad"},
            "object": {"@id": f"#{stage}-fingerprint"},
            "result": [{"@id": file.path} for file in files] if stage == "shards" else [],
        }
        for stage, fingerprint in fingerprints.items()
    ]
    values = [
        {"@id": f"#{stage}-fingerprint", "@type": "PropertyValue", "name": "fingerprint", "value": fingerprint.text}
        for stage, fingerprint in fingerprints.items()
    ]
    return {
        "@context": "https://w3id.org/ro/crate/1.1/context",
        "@graph": [
            {
                "@id": "ro-crate-metadata.json",
                "@type": "CreativeWork",
                "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
                "about": {"@id": "./"},
            },
            {
                "@id": "./",
                "@type": "Dataset",
                "name": about.title,
                "description": "Slices of CT and MR with report sentences, boxes and masks, and how they were made.",
                "datePublished": today.isoformat(),
                "license": about.all_terms,
                "creator": {"@id": "#creator"},
                "hasPart": [{"@id": file.path} for file in files],
                "mentions": [{"@id": action["@id"]} for action in actions],
            },
            {"@id": "#creator", "@type": "Organization", "name": about.creator},
            refrad,
            *(
                {
                    "@id": file.path,
                    "@type": "File",
                    "name": file.path,
                    "contentSize": str(file.size),
                    "encodingFormat": "application/vnd.apache.parquet",
                    "sha256": file.sha256,
                }
                for file in files
            ),
            *actions,
            *values,
        ],
    }


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() and c.isascii() else " " for c in title).split()).lower() or "dataset"
