import csv
import json

import pytest

from refrad.core.contracts import CaptionTable, InstanceTable, ReferenceTable
from refrad.core.tables import frame_of, read_table, write_table
from refrad.privacy.pseudonyms import FileTable
from refrad.stages import captions
from refrad.workflow.fingerprint import Fingerprint

FINGERPRINT = Fingerprint("captions", 1, {"rewrite": "rules", "translate": "none"}, {})
TEXT = """Patient: Erika Beispielfrau, Untersuchung vom 03.04.2021

Klinische Angaben:
Sturz am 01.04.2021.

Befund:
Leber normal (Se 3, IMA 5). Milz normal. Milz normal. Gez. Dr. Habermann.

Beurteilung:
Niere links normal.
"""


class Delivery:
    """One patient with one study and one image, in shard 1 of 2."""

    def __init__(self, folder, root):
        self.folder, self.lexicon = folder, root / "workflow" / "anatomy" / "lexicon.yaml"
        (folder / "key").write_bytes(bytes(range(32)))
        (folder / "key").chmod(0o600)
        file = {
            **{
                "file": "f",
                "path": "a/1.dcm",
                "patient_id": "ID4711",
                "patient_name": "Beispielfrau^Erika",
                "birth_date": "19500101",
            },
            **{
                "accession_number": "ACC99",
                "study_uid": "1.2.5",
                "series_uid": "1.2.4",
                "instance_uid": "1.2.3.1",
                "names": "",
            },
            **{"institution": "Klinikum Nordheim", "patient": "p", "study": "s", "shard": 1},
        }
        instance = {
            **{"file": "f", "frame": 0, "instance": "i", "series": "se", "study": "s", "patient": "p", "volume": "v"},
            **{
                "modality": "CT",
                "series_number": 3,
                "instance_number": 5,
                "shard": 1,
                "split": "train",
                "reason": None,
            },
        }
        stub = Fingerprint("index", 1, {}, {})
        write_table(folder / "files.parquet", frame_of([file], FileTable), FileTable, stub)
        write_table(folder / "instances.parquet", frame_of([instance], InstanceTable), InstanceTable, stub)

    def run(self, reports, references=None, shard=1):
        self.table(
            "reports.csv",
            ["report_id", "patient_id", "accession_number", "study_uid", "dicom", "language", "text"],
            reports,
        )
        if references is not None:
            columns = ["report_id", "sentence", "instance_uid", "series_number", "image_number"]
            self.table("references.csv", columns[: len(references[0])], references)
        captions.run(
            reports=self.folder / "reports.csv",
            instances=self.folder / "instances.parquet",
            files=self.folder / "files.parquet",
            lexicon=self.lexicon,
            key=self.folder / "key",
            shard=shard,
            captions=self.folder / "captions.parquet",
            image_references=self.folder / "references.parquet",
            metrics=self.folder / "metrics.json",
            fingerprint=FINGERPRINT,
            references=None if references is None else self.folder / "references.csv",
        )
        self.metrics = json.loads((self.folder / "metrics.json").read_text())
        self.named = read_table(self.folder / "references.parquet", ReferenceTable)
        return read_table(self.folder / "captions.parquet", CaptionTable)

    def table(self, name, columns, rows):
        with (self.folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def delivery(tmp_path, root):
    return Delivery(tmp_path, root)


def report(text=TEXT, name="R1", **known):
    identity = {"patient_id": "", "accession_number": "", "study_uid": "1.2.5", "dicom": ""} | known
    return [name, *identity.values(), "de", text]


def test_sentences_of_findings_and_impression_become_captions(delivery):
    made = delivery.run([report()])
    assert made["text"].to_list()[:2] == ["Leber normal.", "Milz normal."]
    assert set(made["section"]) == {"findings", "impression"}
    assert delivery.metrics["flow"]["aside"]["duplicate_sentence"] == 1


def test_nothing_that_identifies_is_left_in_any_column(delivery):
    made = delivery.run([report()])
    everything = made.write_json() + delivery.named.write_json() + json.dumps(delivery.metrics)
    for secret in ("Erika", "Beispielfrau", "ID4711", "2021", "Habermann", "1.2.5", "R1"):
        assert secret not in everything, secret


def test_a_reference_is_read_and_leaves_the_text(delivery):
    made = delivery.run([report()])
    (caption,) = made.filter(made["tie"] == "reference").to_dicts()
    (named,) = delivery.named.to_dicts()
    assert named == {
        "caption": caption["caption"],
        "instance": None,
        "series_number": 3,
        "image_first": 5,
        "image_last": 5,
    }


def test_a_sentence_tied_by_hand_names_its_instance(delivery):
    made = delivery.run([report()], references=[["R1", "Milz normal", "1.2.3.1"]])
    (caption,) = made.filter(made["tie"] == "explicit").to_dicts()
    assert caption["text"] == "Milz normal." and delivery.named.filter(delivery.named["caption"] == caption["caption"])[
        "instance"
    ].to_list() == ["i"]


def test_a_sentence_tied_by_numbers_names_series_and_image(delivery):
    made = delivery.run([report()], references=[["R1", "Milz normal", "", 3, 5]])
    (caption,) = made.filter(made["tie"] == "explicit").to_dicts()
    (named,) = delivery.named.filter(delivery.named["caption"] == caption["caption"]).to_dicts()
    assert (named["instance"], named["series_number"], named["image_first"]) == (None, 3, 5)


def test_references_are_counted_by_what_they_lead_to(delivery):
    delivery.run([report("Befund:\nLeber (Se 3, IMA 5). Milz (Se 3, IMA 99). Niere (Se 9, IMA 5).")])
    assert delivery.metrics["tables"]["references"] == {"found": 1, "not found": 2}


@pytest.mark.parametrize(
    "identity", [{"accession_number": "ACC99"}, {"patient_id": "ID4711"}, {"dicom": "a"}, {"dicom": "/a/"}]
)
def test_a_report_without_study_uid_is_found_by_what_it_has(delivery, identity):
    assert len(delivery.run([report(**({"study_uid": ""} | identity))])) > 0


def test_a_report_of_no_study_is_counted_once_over_all_shards(delivery):
    stray = report(study_uid="9.9.9")
    assert delivery.run([stray], shard=1).is_empty() and delivery.metrics["flow"]["taken"] == 0
    delivery.run([stray], shard=0)
    assert delivery.metrics["flow"]["aside"] == {"no_study": delivery.metrics["flow"]["taken"]}


def test_the_same_report_twice_is_used_once(delivery):
    once = len(delivery.run([report()]))
    assert len(delivery.run([report(), report()])) == once
    assert delivery.metrics["tables"]["reports"] == {"used": 1, "duplicate_report": 1}


def test_a_missing_column_stops_with_its_name(delivery):
    delivery.run([report()])
    delivery.table("references.csv", ["report_id", "sentence"], [["R1", "Milz"]])
    (delivery.folder / "references.csv").rename(delivery.folder / "broken.csv")
    with pytest.raises(ValueError, match="instance_uid"):
        captions._read_ties(delivery.folder / "broken.csv", None)
