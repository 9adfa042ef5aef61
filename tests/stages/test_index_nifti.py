"""Stage index for NIfTI files: the same tables as for DICOM, one row a file."""

import json
from dataclasses import replace
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import polars as pl
import pytest
from tests.factories import fingerprint

from refrad.config import VolumeFiles
from refrad.core.contracts import InstanceTable
from refrad.core.tables import read_public_set, read_table
from refrad.nifti.volume_entry import VolumeEntry
from refrad.nifti.volume_list import write_entries
from refrad.privacy.choice_lists import digests_of_choice, read_choice_list
from refrad.privacy.pseudonyms import DEMO_KEY_PREFIX, DEMO_MANUFACTURER, FileTable, Pseudonyms
from refrad.privacy.withdrawals import withdrawals_of
from refrad.stages import index

KEY = bytes(range(32))
SLICES = 6


def entry(path, patient="P-0001", study="S1", series="1", modality="CT", **fields):
    return VolumeEntry(path, patient, study, series, modality, **fields)


def write_volume(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((8, 9, SLICES), np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([-1.0, -1.0, 5.0, 1.0])), path)


def run(folder, entries, key=KEY, lists=None, withdrawn=(), public_set=None, delivery="site", **changes):
    """The tables of stage index for a table of volumes; the files of the entries without a problem are written."""
    volumes, private = folder / "volumes", folder / "private" / delivery
    for listed in entries:
        if ".." not in listed.path:
            write_volume(volumes / listed.path)
    write_entries(folder / "volumes.csv", entries)
    (folder / "key").write_bytes(key)
    chosen = {}
    for name, text in (lists or {}).items():
        chosen[name] = folder / f"{name}.csv"
        chosen[name].write_text(f"kind,value\n{text}\n")
    options = fingerprint("index", memory_gb=4.0, burned_in_rules=[], **changes)
    digests = digests_of_choice({name: read_choice_list(path) for name, path in chosen.items()}, key)
    if withdrawn:
        withdrawals_of(private / "files.parquet", Pseudonyms(key)).add({"patient": withdrawn})
    index.run(
        volume_files=VolumeFiles(folder=str(volumes), table=str(folder / "volumes.csv")).model_dump_json(),
        reports=folder,
        key=folder / "key",
        files=private / "files.parquet",
        instances=folder / "instances.parquet",
        metrics=folder / "metrics.json",
        fingerprint=replace(options, files=digests),
        shards=2,
        public_set=public_set,
        **chosen,
    )
    instances = read_table(folder / "instances.parquet", InstanceTable)
    files = read_table(private / "files.parquet", FileTable)
    rows = instances.join(files.select("file", "path", "patient_id", "study_uid", "series_uid"), on="file")
    return SimpleNamespace(
        rows={row["path"]: row for row in rows.iter_rows(named=True)},
        instances=instances,
        metrics=json.loads((folder / "metrics.json").read_text()),
    )


def reasons(outputs):
    return {path: row["reason"] for path, row in outputs.rows.items()}


def test_file_is_one_row_and_one_volume_of_many_images(tmp_path):
    outputs = run(tmp_path, [entry("a.nii.gz"), entry("b.nii.gz", series="2"), entry("c.nii", patient="P-2")])
    assert outputs.instances["slices"].to_list() == [SLICES] * 3
    assert outputs.instances["volume"].n_unique() == 3
    assert outputs.rows["a.nii.gz"]["study"] == outputs.rows["b.nii.gz"]["study"] != outputs.rows["c.nii"]["study"]
    assert outputs.metrics["flow"] == {"taken": 3, "used": 3, "aside": {}}
    made = outputs.metrics["made"]
    assert (made["images"], made["volumes"], made["patients"], made["studies"]) == (18, 3, 2, 2)


@pytest.mark.parametrize("splits", [[None] * 12, ["test", "validation", "train", "test"] * 3])
def test_patients_of_reports_made_from_masks_all_train(tmp_path, splits):
    entries = [entry(f"{n}.nii.gz", f"P{n // 2}", f"S{n}", split=split) for n, split in enumerate(splits)]
    table = run(tmp_path, entries, public_set="abdomenatlas", test=0.5, validation=0.4).instances
    assert table["split"].to_list() == ["train"] * 12 and table["reason"].null_count() == 12
    assert read_public_set(tmp_path / "instances.parquet") == "abdomenatlas"


def test_other_public_sets_keep_their_splits(tmp_path):
    entries = [entry(f"{n}.nii.gz", f"P{n}", split=("train", "validation", "test")[n]) for n in range(3)]
    outputs = run(tmp_path, entries, public_set="ct-rate")
    assert [outputs.rows[f"{n}.nii.gz"]["split"] for n in range(3)] == ["train", "validation", "test"]
    assert read_public_set(tmp_path / "instances.parquet") == "ct-rate"
    run(tmp_path, entries)
    assert read_public_set(tmp_path / "instances.parquet") is None


def test_keys_are_private(tmp_path):
    run(tmp_path, [entry("a.nii.gz", patient="SECRET-P", study="SECRET-S", series="SECRET-V")])
    assert b"SECRET" not in (tmp_path / "instances.parquet").read_bytes()
    assert b"SECRET" not in (tmp_path / "metrics.json").read_bytes()


def test_study_and_series_keys_may_repeat_in_other_patients(tmp_path):
    # Each patient's first study is called 1, and each study has a series T1w.
    entries = [entry(f"{p}/{s}.nii.gz", p, s, "T1w", "MR") for p in ("A", "B") for s in ("1", "2")]
    table = run(tmp_path, entries).instances
    for column, count in {"patient": 2, "study": 4, "series": 4, "volume": 4, "instance": 4}.items():
        assert table[column].n_unique() == count, column


def test_equal_keys_of_two_deliveries_are_of_one_patient_and_two_images(tmp_path):
    # sub-01 with a T1w is in many datasets: nothing of one may pass for the other, but both are in one split.
    entries = [entry("a.nii", "sub-01", "sub-01", "T1w", "MR")]
    first, second = (run(tmp_path, entries, delivery=name).instances for name in ("ds1", "ds2"))
    for column in ("study", "series", "volume", "instance"):
        assert first[column][0] != second[column][0], column
    assert (first["patient"][0], first["split"][0]) == (second["patient"][0], second["split"][0])


def test_keys_cannot_pass_for_others(tmp_path):
    entries = [entry("a.nii", "a|b", "c", "d"), entry("b.nii", "a", "b|c", "d"), entry("c.nii", "a", "b", "c|d")]
    table = run(tmp_path, entries).instances
    assert table["study"].n_unique() == table["series"].n_unique() == table["volume"].n_unique() == 3


def test_two_files_of_one_series_are_both_quarantined(tmp_path):
    entries = [entry("a.nii.gz"), entry("sub/a.nii.gz"), entry("b.nii.gz", series="2")]
    assert reasons(run(tmp_path, entries)) == {"a.nii.gz": "same_keys", "sub/a.nii.gz": "same_keys", "b.nii.gz": None}


def test_every_file_is_counted_with_its_reason(tmp_path):
    (tmp_path / "volumes").mkdir()
    entries = [
        entry("good.nii.gz"),
        entry("../secret.nii.gz", series="2"),
        entry("other.nii.gz", modality="", series="3"),
        entry("keyless.nii.gz", patient="", series="4"),
        entry("affine.nii.gz", series="5", affine="1 2 3"),
    ]
    outputs = run(tmp_path, entries)
    assert reasons(outputs) == {
        "good.nii.gz": None,
        "../secret.nii.gz": "outside_folder",
        "other.nii.gz": "no_modality",
        "keyless.nii.gz": "no_key",
        "affine.nii.gz": "wrong_entry",
    }
    flow = outputs.metrics["flow"]
    assert flow["taken"] == flow["used"] + sum(flow["aside"].values()) == 5
    assert outputs.rows["keyless.nii.gz"]["patient"] is None


def test_official_splits_are_kept(tmp_path):
    splits = ["train", "validation", "test"]
    entries = [entry(f"{n}.nii", str(n), split=splits[n % 3]) for n in range(9)]
    outputs = run(tmp_path, entries)
    assert {path: row["split"] for path, row in outputs.rows.items()} == {e.path: e.split for e in entries}


def test_official_splits_are_for_all_files_or_none(tmp_path):
    with pytest.raises(ValueError, match="1 of 2 files have no split"):
        run(tmp_path, [entry("a.nii", "1", split="test"), entry("b.nii", "2")])


@pytest.mark.parametrize(
    ("patient_ids", "reason"), [("folded", "split_differs"), ("exact", None)], ids=["folded", "exact"]
)
def test_patient_in_two_splits_is_quarantined_in_any_spelling(tmp_path, patient_ids, reason):
    entries = [
        entry("a.nii", "P-0001", "S1", split="train"),
        entry("b.nii", "p1", "S2", split="test"),
        entry("c.nii", "P-2", "S3", split="test"),
    ]
    outputs = run(tmp_path, entries, patient_ids=patient_ids)
    assert reasons(outputs) == {"a.nii": reason, "b.nii": reason, "c.nii": None}


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("patient,2", {"b.nii", "c.nii"}),
        ("study,S1", {"a.nii", "b.nii"}),
        ("series,T2w", {"c.nii"}),
        ("modality,MR", {"c.nii"}),
        ("date,2019-01-01..2019-12-31", {"a.nii"}),
    ],
)
def test_lists_name_files_by_their_keys(tmp_path, line, left):
    entries = [
        entry("a.nii", "1", "S1", "T1w", study_date="20190131"),
        entry("b.nii", "2", "S1", "T1w", study_date="20180131"),
        entry("c.nii", "2", "S2", "T2w", "MR"),
    ]
    assert {
        path for path, reason in reasons(run(tmp_path, entries, lists={"include": line})).items() if not reason
    } == left
    excluded = reasons(run(tmp_path, entries, lists={"exclude": line}))
    assert {path for path, reason in excluded.items() if reason == "excluded"} == left


def test_patient_who_has_withdrawn_is_in_no_table(tmp_path):
    # Both patients have a study S1, which is not that of the other.
    outputs = run(tmp_path, [entry("a.nii", "1"), entry("b.nii", "2")], withdrawn=["1"])
    assert set(outputs.rows) == {"b.nii"}
    assert outputs.metrics["flow"]["aside"] == {"withdrawn": 1}


def test_delivery_of_nifti_is_never_the_demo(tmp_path):
    with pytest.raises(ValueError, match=r"privacy\.key is the demo's"):
        run(tmp_path, [entry("a.nii", manufacturer=DEMO_MANUFACTURER)], key=DEMO_KEY_PREFIX + bytes(16))


def test_images_are_drawn_into_splits_without_official_ones(tmp_path):
    rows = run(tmp_path, [entry(f"{n}.nii", str(n)) for n in range(20)], test=0.5, validation=0.2).instances
    assert rows.filter(pl.col("split") == "test").height in range(3, 18)
