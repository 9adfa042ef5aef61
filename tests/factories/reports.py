"""Reports of one made-up patient, and the delivery on which stage captions reads them."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from tests.factories.options import ROOT, fingerprint

from refrad.core.contracts import CaptionTable, InstanceTable, ReferenceTable
from refrad.core.tables import frame_of, read_table, write_table
from refrad.privacy.pseudonyms import FileTable
from refrad.stages import captions
from refrad.workflow.fingerprint import Fingerprint

REPORT_COLUMNS = ["report_id", "patient_id", "accession_number", "study_uid", "dicom", "language", "text"]
REFERENCE_COLUMNS = ["report_id", "sentence", "instance_uid", "series_number", "image_number"]
INDEX = Fingerprint("index", 1, {}, {})
TEXT = """Patient: Erika Beispielfrau, Untersuchung vom 03.04.2021

Klinische Angaben:
Sturz am 01.04.2021.

Befund:
Leber normal (Se 3, IMA 5). Milz normal. Milz normal. Gez. Dr. Habermann.

Beurteilung:
Niere links normal.
"""


class ReportDelivery:
    """One patient with one study and one image, in shard 1 of 2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "key").write_bytes(bytes(range(32)))
        (folder / "key").chmod(0o600)
        self._file: dict[str, Any] = {
            "file": "f",
            "path": "a/1.dcm",
            "patient_id": "ID4711",
            "issuer": "",
            "patient_name": "Beispielfrau^Erika",
            "birth_date": "19500101",
            "accession_number": "ACC99",
            "study_uid": "1.2.5",
            "series_uid": "1.2.4",
            "instance_uid": "1.2.3.1",
            "names": "",
            "institution": "Klinikum Nordheim",
            "patient": "p",
            "study": "s",
            "shard": 1,
        }
        instance = {
            **{
                "file": "f",
                "frame": 0,
                "slices": 1,
                "instance": "i",
                "series": "se",
                "study": "s",
                "patient": "p",
                "volume": "v",
            },
            **{"modality": "CT", "series_number": 3, "instance_number": 5, "shard": 1, "split": "train"},
            "reason": None,
        }
        write_table(folder / "instances.parquet", frame_of([instance], InstanceTable), InstanceTable, INDEX)
        self.add_files()

    def add_files(self, *changes: dict[str, Any]) -> None:
        """Make the delivery hold further files without images, each the first one with changes."""
        names = [{"file": f"f{number}", "path": f"a/{number}.dcm"} for number in range(2, 2 + len(changes))]
        rows = [self._file, *(self._file | name | change for name, change in zip(names, changes, strict=True))]
        write_table(self.folder / "files.parquet", frame_of(rows, FileTable), FileTable, INDEX)

    def run(
        self,
        rows: Sequence[Sequence[Any]],
        references: Sequence[Sequence[Any]] | None = None,
        shard: int = 1,
        **changes: Any,
    ) -> pl.DataFrame:
        """The captions of a shard; `metrics` and `named` (the image references) are set. Changes replace arguments of the stage."""
        self.write_rows("reports.csv", REPORT_COLUMNS, rows)
        if references is not None:
            self.write_rows("references.csv", REFERENCE_COLUMNS[: len(references[0])], references)
        arguments = {
            "reports": self.folder / "reports.csv",
            "instances": self.folder / "instances.parquet",
            "files": self.folder / "files.parquet",
            "lexicon": ROOT / "workflow" / "anatomy" / "lexicon.yaml",
            "schema": ROOT / "workflow" / "anatomy" / "classes.yaml",
            "key": self.folder / "key",
            "shard": shard,
            "captions": self.folder / "captions.parquet",
            "image_references": self.folder / "references.parquet",
            "metrics": self.folder / "metrics.json",
            "fingerprint": fingerprint("captions"),
            "references": None if references is None else self.folder / "references.csv",
        }
        captions.run(**(arguments | changes))
        self.metrics = json.loads((self.folder / "metrics.json").read_text())
        self.named = read_table(self.folder / "references.parquet", ReferenceTable)
        return read_table(self.folder / "captions.parquet", CaptionTable)

    def write_rows(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        with (self.folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])


def report_row(text: str = TEXT, name: str = "R1", **identity: str) -> list[str]:
    """A row of reports.csv; unless the identity changes it, the report is found by the UID of its study."""
    identity = {"patient_id": "", "accession_number": "", "study_uid": "1.2.5", "dicom": ""} | identity
    return [name, *identity.values(), "de", text]
