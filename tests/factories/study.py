"""A made-up CT study with its tables and stores, on which the stages after volumes run."""

import importlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tests.factories.options import SCHEMA, options

from refrad.core import contracts, tables
from refrad.dicom.volume_store import store_volume
from refrad.segmentation.labels import save_labels
from refrad.workflow.fingerprint import Fingerprint


class Study:
    """One made-up CT volume of 32 x 24 px and 6 slices with its tables, in a folder: what stages after volumes work on.

    Slices 0 to 4 show the liver (20 x 10 px), slices 1 to 3 both kidneys; slice 5 is empty.
    """

    def __init__(self, folder: Path, schema: Path = SCHEMA) -> None:
        self.folder = folder
        self.schema = schema
        self.volume_store, self.mask_store = folder / "volumes", folder / "masks"
        self.labels = np.zeros((32, 24, 6), np.uint8)
        self.labels[2:22, 4:14, :5] = 5
        self.labels[3:8, 16:20, 1:4] = 2
        self.labels[24:29, 16:20, 1:4] = 3
        self.labels[30, 1, 2] = 5  # a stray voxel
        self.affine = np.diag([-2.0, -2.0, 5.0, 1.0])
        self.values = np.where(self.labels > 0, 60, -100).astype(np.int16)
        for store in (self.volume_store, self.mask_store):
            store.mkdir()
        self.digest, self.file = store_volume(self.values, self.affine, self.volume_store)
        self.save_labels()
        self.write(contracts.VolumeTable, "volumes", [self.volume()])
        slices = [
            {"instance": f"i{k}", "volume": "v", "axis": 2, "index": k, "instance_number": k + 1} for k in range(6)
        ]
        self.write(contracts.SliceTable, "slices", slices)
        self.write(contracts.CopyTable, "copies", [])

    def move(self, affine: np.ndarray) -> None:
        """Store the volume and its labels with another affine: the patient lies otherwise."""
        self.affine = affine
        self.digest, self.file = store_volume(self.values, affine, self.volume_store)
        self.save_labels()
        self.write(contracts.VolumeTable, "volumes", [self.volume()])

    def save_labels(self) -> None:
        self.labels_digest, _ = save_labels(self.mask_store / "v.nii.gz", self.labels, self.affine)

    def volume(self) -> dict:
        return {
            **{"volume": "v", "series": "s", "study": "study", "patient": "p", "split": "train", "modality": "CT"},
            **{"plane": "axial", "series_number": 3, "body_part": None, "contrast": None, "sex": "F", "age": 50},
            **{"date": None, "columns": 32, "rows": 24, "slices": 6, "spacing_x": 2.0, "spacing_y": 2.0},
            **{"spacing_z": 5.0, "digest": self.digest, "file": self.file, "reason": None},
        }

    def caption(self, name: str, text: str, tie: str = "structure", language: str = "en") -> dict:
        return {
            **{
                "caption": name,
                "sentence": name,
                "report": "r",
                "study": "study",
                "patient": "p",
                "section": "findings",
            },
            **{"position": 0, "language": language, "text": text, "indication": "pain", "question": None, "tie": tie},
            **{"rewriter": "rules: unchanged", "translator": "source"},
        }

    def mention(self, caption: str, text: str, span: str, *classes: int, assertion: str = "present") -> list[dict]:
        start = text.index(span)
        row = {"caption": caption, "start": start, "end": start + len(span), "text": span, "backend": "lexicon"}
        return [row | {"class_id": class_id, "assertion": assertion} for class_id in classes]

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def write(self, contract: type, name: str, rows: list[dict], fingerprint: Fingerprint | None = None) -> Path:
        fingerprint = fingerprint or Fingerprint(name, 1, {}, {})
        tables.write_table(self.path(name), tables.frame_of(rows, contract), contract, fingerprint)
        return self.path(name)

    def run(self, stage: str, changes: Mapping[str, Any] | None = None, **paths: Path) -> dict:
        """Run a stage on the tables by their names, with the options of config.yaml and changes; the metrics come back."""
        function = importlib.import_module(f"refrad.stages.{stage}").run
        special = {
            "schema": self.schema,
            "norms": self.schema.with_name("plausibility.yaml"),
            "lexicon": self.schema.with_name("lexicon.yaml"),
            "volume_store": self.volume_store,
            "mask_store": self.mask_store,
        }
        parameters = inspect.signature(function).parameters
        arguments = {name: special.get(name, self.path(name)) for name in parameters}
        if "files" in parameters and is_dataclass(kind := parameters["files"].annotation):
            arguments["files"] = kind(
                **{field.name: special.get(field.name, self.path(field.name)) for field in fields(kind)}
            )
        arguments["metrics"] = self.folder / f"{stage}.json"
        arguments["fingerprint"] = Fingerprint(stage, 1, options(stage, **(changes or {})), {})
        names = ("precomputed", "instances", "files", "llm", "verdicts", "until")
        defaults = {name: None for name in names if isinstance(arguments.get(name), Path)}
        function(**(arguments | defaults | paths))
        return json.loads((self.folder / f"{stage}.json").read_text())

    def structures(self, task: str = "total") -> dict:
        """The masks table as a segmenter would leave it, and the structures."""
        mask = {"volume": "v", "task": task, "segmenter": "precomputed", "weights": None}
        self.write(
            contracts.MaskTable,
            "masks",
            [mask | {"digest": self.labels_digest, "file": "v.nii.gz", "labels": 3, "reason": None}],
        )
        return self.run("structures", self.structures_options())

    @staticmethod
    def structures_options(**quarantine: str) -> dict:
        """Options of the stage structures; a flag is a flag unless it is named."""
        actions = dict.fromkeys(("empty", "volume", "pieces", "sides", "elsewhere"), "flag") | quarantine
        return options("structures", implausible=actions, minimum_area_mm2=10.0, minimum_share=0.1)

    def grounded(
        self, captions: list[dict], mentions: list[dict], references: list[dict] = (), mode: str = "expand"
    ) -> dict:
        self.write(contracts.CaptionTable, "captions", captions)
        self.write(contracts.MentionTable, "mentions", mentions)
        self.write(contracts.ReferenceTable, "image_references", list(references))
        return self.run("grounded", {"mode": mode, "images_per_caption": 2})
