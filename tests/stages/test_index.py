"""Stage index: files of a delivery get pseudonyms, splits and shards, or a reason of quarantine."""

import json
import os
import stat
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from tests.factories import fingerprint

from refrad.core.contracts import InstanceTable
from refrad.core.tables import read_table
from refrad.privacy.choice_lists import digests_of_choice, read_choice_list
from refrad.privacy.persons import PersonTable
from refrad.privacy.pseudonyms import DEMO_KEY_PREFIX, DEMO_MANUFACTURER, FileTable, Pseudonyms, shard_of, split_of
from refrad.stages import index

KEY = bytes(range(32))
PIXELS = np.zeros((4, 5), np.int16)
SECRETS = {
    "PatientID": "SECRET-ID",
    "PatientName": "Secret^Name",
    "PatientBirthDate": "19501231",
    "AccessionNumber": "SECRET-ACC",
    "InstitutionName": "Secret Hospital",
    "ReferringPhysicianName": "Secret^Doctor",
    "SeriesDescription": "Secret description",
}


def run(dicom, out, key=KEY, shards=3, persons=False, lists=None, digests=None, **changes):
    out.mkdir(exist_ok=True)
    (out / "key").write_bytes(key)
    chosen = {}
    for name, text in (lists or {}).items():
        chosen[name] = out / f"{name}.csv"
        chosen[name].write_text(f"kind,value\n{text}\n")
    paths = {"files": out / "private" / "files.parquet", "instances": out / "instances.parquet"}
    metrics = out / "metrics.json"
    options = fingerprint("index", burned_in_rules=[], memory_gb=4.0, **changes)
    if digests is None:
        digests = digests_of_choice({name: read_choice_list(path) for name, path in chosen.items()}, key)
    options = replace(options, files=digests)
    index.run(
        dicom=dicom,
        reports=out,
        key=out / "key",
        **paths,
        metrics=metrics,
        fingerprint=options,
        shards=shards,
        persons=out / "private" / "persons.parquet" if persons else None,
        **chosen,
    )
    return SimpleNamespace(
        instances=read_table(paths["instances"], InstanceTable),
        files=read_table(paths["files"], FileTable),
        paths=paths,
        metrics=json.loads(metrics.read_text()),
    )


def write_stack(write_slice, folder, count=5, **attributes):
    for z in range(count):
        write_slice(folder / f"{z}.dcm", PIXELS, ImagePositionPatient=[0, 0, z], InstanceNumber=z + 1, **attributes)


def reasons_by_group(outputs):
    """First folder of the path -> the reasons of its images."""
    joined = outputs.instances.join(outputs.files.select("file", "path"), on="file")
    groups = {}
    for path, reason in joined.select("path", "reason").rows():
        groups.setdefault(path.split("/")[0], []).append(reason)
    return groups


def test_files_are_used_or_quarantined(write_slice, tmp_path):
    write_stack(write_slice, tmp_path / "d" / "s")
    write_slice(tmp_path / "d" / "scout", PIXELS, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_slice(tmp_path / "d" / "report", PIXELS, Modality="SR")
    (tmp_path / "d" / "readme.txt").write_text("hello")
    outputs = run(tmp_path / "d", tmp_path / "out")
    aside = {"localizer": 1, "not_ct_or_mr": 1, "not_dicom": 1}
    assert outputs.metrics["unit"] == "files"
    assert outputs.metrics["flow"] == {"taken": 8, "used": 5, "aside": aside}
    assert outputs.metrics["made"] == {"images": 5, "patients": 1, "series": 1, "studies": 1, "volumes": 1}
    assert outputs.metrics["tables"]["reason"] == {"used": 5} | aside
    assert outputs.metrics["tables"]["modality"] == {"CT": 6, "SR": 1, "none": 1}
    assert len(outputs.instances) == len(outputs.files) == 8
    used = outputs.instances.filter(outputs.instances["reason"].is_null())
    assert sorted(used["instance_number"]) == [1, 2, 3, 4, 5]
    assert used["volume"].n_unique() == 1


def test_pseudonyms_are_those_of_the_key_and_the_identifiers(write_slice, tmp_path):
    write_slice(tmp_path / "d" / "a", PIXELS, PatientID="P7", SOPInstanceUID="1.2.99", StudyInstanceUID="1.2.88")
    outputs = run(tmp_path / "d", tmp_path / "out", shards=5)
    pseudonyms, row = Pseudonyms(KEY), outputs.instances.row(0, named=True)
    assert row["instance"] == pseudonyms.instance("1.2.99")
    assert row["study"] == pseudonyms.study("1.2.88")
    assert row["patient"] == pseudonyms.patient("P7")
    assert row["file"] == pseudonyms.file("a")
    assert row["shard"] == shard_of(row["patient"], 5)
    assert outputs.files.row(0, named=True)["patient"] == row["patient"]


def test_split_and_shard_belong_to_the_patient(write_slice, tmp_path):
    for patient in range(6):
        for study in range(2):
            folder = tmp_path / "d" / f"{patient}-{study}"
            uids = {"StudyInstanceUID": f"1.{patient}.{study}", "SeriesInstanceUID": f"2.{patient}.{study}"}
            write_stack(write_slice, folder, count=2, PatientID=f"P{patient}", **uids)
    instances = run(tmp_path / "d", tmp_path / "out").instances
    assert instances["patient"].n_unique() == 6
    assert len(instances.select("patient", "split", "shard").unique()) == 6


def test_one_patient_id_in_several_spellings_is_in_one_split(write_slice, tmp_path):
    spellings = [(f"{zeros}{number}", issuer) for number in range(40, 60) for zeros, issuer in (("", "A"), ("00", ""))]
    for n, (patient, issuer) in enumerate([*spellings, ("0040", "B")]):
        uids = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), f"{n}.{n}")
        write_slice(tmp_path / "d" / f"{n}", PIXELS, PatientID=patient, IssuerOfPatientID=issuer, **uids)
    folded = run(tmp_path / "d", tmp_path / "folded")
    joined = folded.instances.join(folded.files.select("file", "patient_id", "issuer"), on="file")
    assert set(joined["issuer"]) == {"A", "B", ""} and joined["patient"].n_unique() == len(spellings)
    people = joined.group_by(pl.col("patient_id").cast(int)).agg(pl.col("split").n_unique())
    assert set(people["split"]) == {1} and joined["split"].n_unique() > 1
    exact = run(tmp_path / "d", tmp_path / "exact", patient_ids="exact").instances
    assert exact["split"].to_list() == [split_of(name, test=0.2, validation=0.1) for name in exact["patient"]]
    assert exact["patient"].to_list() == folded.instances["patient"].to_list()


def test_patients_that_may_be_one_person_are_counted(write_slice, tmp_path):
    ids = [f"P{number}" for number in range(30)]
    for n, patient in enumerate([*ids, "P0"]):
        uids = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), f"{n}.{n}")
        name = f"Sylvain^Ode{chr(97 + int(patient[1:]) // 2)}"
        write_slice(
            tmp_path / "d" / f"{n}", PIXELS, PatientID=patient, PatientName=name, PatientBirthDate="19500102",
            IssuerOfPatientID=str(n // 30), **uids,
        )  # fmt: skip
    write_slice(tmp_path / "d" / "secret", PIXELS, **SECRETS)
    outputs = run(tmp_path / "d", tmp_path / "out", persons=True)
    counts = outputs.metrics["tables"]["patients that may be one person"]
    assert counts["same name and birth date under several ids"] == 15 and counts["one id of several issuers"] == 1
    assert 0 < counts["of these, in several splits"] < 15
    table = tmp_path / "out" / "private" / "persons.parquet"
    persons = read_table(table, PersonTable)
    assert persons["patient"].n_unique() == 31 and persons["person"].n_unique() == 16 and persons.height == 32
    assert not {"Secret", "SECRET-ID", "19501231", "Sylvain"} & set(str(persons.to_dicts()).split("'"))
    assert stat.S_IMODE(table.stat().st_mode) == 0o600


def test_header_values_stay_in_the_private_table(write_slice, tmp_path, caplog, capfd):
    write_stack(write_slice, tmp_path / "d" / "secret folder", SeriesInstanceUID="1.2.777", **SECRETS)
    write_slice(tmp_path / "d" / "odd", PIXELS, **SECRETS | {"Modality": "SECRET"})
    with caplog.at_level("DEBUG"):
        outputs = run(tmp_path / "d", tmp_path / "out")
    public = str(outputs.instances.to_dicts()) + json.dumps(outputs.metrics) + caplog.text + str(capfd.readouterr())
    for secret in [*SECRETS.values(), "secret folder", "1.2.777", "19501231", "SECRET", ".dcm", "20240229"]:
        assert secret not in public
    row = outputs.files.filter(outputs.files["path"] == "secret folder/0.dcm").row(0, named=True)
    assert (row["patient_id"], row["accession_number"], row["birth_date"]) == ("SECRET-ID", "SECRET-ACC", "19501231")
    assert row["names"] == "Secret^Doctor | Secret^Name"
    assert row["institution"] == "Secret Hospital"
    assert row["series_uid"] == "1.2.777"
    assert stat.S_IMODE(outputs.paths["files"].stat().st_mode) == 0o600


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_private_folder_that_stands_open_is_closed(write_slice, tmp_path, umask):
    write_stack(write_slice, tmp_path / "d")
    private = tmp_path / "out" / "private"
    before = os.umask(umask)
    try:
        (private / "older").mkdir(parents=True)
        private.chmod(0o755)
        (private / "older" / "files.parquet").touch(0o644)
        outputs = run(tmp_path / "d", tmp_path / "out")
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (private, *private.rglob("*"))}
    assert modes == {path: 0o600 if path.suffix else 0o700 for path in modes}
    assert stat.S_IMODE(outputs.paths["instances"].stat().st_mode) == 0o666 & ~umask


def test_demo_key_is_refused_for_other_data(write_slice, tmp_path):
    write_slice(tmp_path / "d" / "a", PIXELS, Manufacturer=DEMO_MANUFACTURER)
    demo_key = DEMO_KEY_PREFIX + b"0" * 16
    assert run(tmp_path / "d", tmp_path / "out", key=demo_key).metrics["flow"]["used"] == 1
    write_slice(tmp_path / "d" / "b", PIXELS, Manufacturer="SIEMENS")
    with pytest.raises(ValueError, match=r"^privacy\.key .*name another file[^\n]*$"):
        run(tmp_path / "d", tmp_path / "other", key=demo_key)
    assert not (tmp_path / "other" / "instances.parquet").exists()
    assert not list((tmp_path / "other" / "private").iterdir())


def test_missing_delivery_makes_no_key(tmp_path):
    with pytest.raises(FileNotFoundError):
        index.run(
            dicom=tmp_path / "none",
            reports=tmp_path,
            key=tmp_path / "key",
            files=tmp_path / "f",
            instances=tmp_path / "i",
            metrics=tmp_path / "m",
            fingerprint=fingerprint("index", burned_in_rules=[]),
            shards=1,
        )
    assert not (tmp_path / "key").exists()


def test_frames_of_one_file_are_several_images(shared, tmp_path):
    outputs = run(shared / "dicom-mr" / "dicom2nifti_philips_enhanced_T1", tmp_path)
    assert outputs.metrics["flow"] == {"taken": 1, "used": 1, "aside": {}}
    assert outputs.metrics["made"]["images"] == 8
    assert outputs.instances["frame"].to_list() == list(range(8))
    assert outputs.instances["instance"].n_unique() == 8
    assert len(outputs.files) == 1


def test_series_with_a_study_for_each_file_is_quarantined(write_slice, tmp_path):
    for z in range(6):
        uid = f"1.9.{z}"
        shared = {"ImagePositionPatient": [0, 0, z], "SOPInstanceUID": uid, "SeriesInstanceUID": "1.2"}
        write_slice(tmp_path / "d" / f"known{z}", PIXELS, PatientID="P", StudyInstanceUID=f"{uid}.1", **shared)
        nameless = {"PatientID": "", "PatientName": "", "SeriesInstanceUID": "1.3"}
        write_slice(tmp_path / "d" / f"nameless{z}", PIXELS, StudyInstanceUID=f"{uid}.2", **shared | nameless)
        for study in range(2):
            uids = {"SeriesInstanceUID": "1.4", "StudyInstanceUID": f"1.{study}", "SOPInstanceUID": f"{uid}.{study}"}
            write_slice(tmp_path / "d" / f"reused{study}{z}", PIXELS, PatientID="P", **shared | uids)
    scout = {"SeriesInstanceUID": "1.2", "StudyInstanceUID": "1.9.0.1", "SOPInstanceUID": "1.99"}
    write_slice(
        tmp_path / "d" / "scout", PIXELS, PatientID="P", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **scout
    )
    outputs = run(tmp_path / "d", tmp_path / "out")
    assert outputs.metrics["flow"] == {"taken": 25, "used": 12, "aside": {"series_in_many_studies": 12, "localizer": 1}}
    assert outputs.metrics["made"] == {"images": 12, "patients": 1, "series": 1, "studies": 2, "volumes": 2}


def test_series_without_uids_is_one_series(shared, tmp_path):
    outputs = run(shared / "dicom-ct" / "totalseg_example_ct_dicom", tmp_path)
    assert outputs.metrics["flow"] == {"taken": 20, "used": 20, "aside": {}}
    assert outputs.metrics["made"] == {"images": 20, "patients": 1, "series": 1, "studies": 1, "volumes": 1}
    assert outputs.instances["instance"].n_unique() == 20


def test_real_ct_files_are_indexed_and_others_quarantined(shared, tmp_path):
    outputs = run(shared / "dicom-ct", tmp_path)
    groups = reasons_by_group(outputs)
    assert outputs.metrics["flow"]["taken"] == len([p for p in (shared / "dicom-ct").rglob("*") if p.is_file()])
    assert set(groups["dcm_qa_ct_philips_localizer"]) == {"localizer", "not_ct_or_mr"}
    assert groups["dcm_qa_ct_philips_exam_summary"].count("secondary_capture") == 2
    assert set(groups["dcmqi_ct_3slice_seg"]) == {"not_ct_or_mr"}
    assert set(groups["covid_ny_sbu"]) == {None}  # reformats are slices too
    assert groups["totalseg_example_seg_dicom.nii.gz"] == ["not_dicom"]
    assert groups["totalseg_example_ct_dicom"] == [None] * 20


def test_real_mr_echoes_and_phases_are_separate_volumes(shared, tmp_path):
    outputs = run(shared / "dicom-mr", tmp_path)
    groups = reasons_by_group(outputs)
    assert outputs.metrics["flow"]["taken"] == len([p for p in (shared / "dicom-mr").rglob("*") if p.is_file()])
    assert groups["vs_seg_001_t1_axial_part"] == [None] * 16
    joined = outputs.instances.join(outputs.files.select("file", "path"), on="file")

    def volumes(folder):
        return joined.filter(joined["path"].str.starts_with(folder))["volume"].drop_nulls().n_unique()

    assert volumes("dcm_qa_table_dual_echo_part") == 4  # magnitude and phase of two echoes
    assert volumes("dcmstack_multi_echo") == 3
    # The same four instances four times over, in different transfer syntaxes.
    assert volumes("dicom2nifti_compressed_") == 1
    assert set(groups["dicom2nifti_compressed_rle"] + groups["dicom2nifti_compressed_j2k"]) == {None}


@pytest.fixture
def two_patients(write_slice, tmp_path):
    """Two patients with a study of two series each, a localizer of the first, and a file that is not DICOM."""
    for patient in ("SECRET-1", "SECRET-2"):
        for series in (1, 2):
            uids = {"StudyInstanceUID": f"1.{patient[-1]}", "SeriesInstanceUID": f"1.{patient[-1]}.{series}"}
            for z in range(5):
                write_slice(
                    tmp_path / "d" / f"{patient}-{series}-{z}", PIXELS, PatientID=patient, ImagePositionPatient=[0, 0, z],
                    InstanceNumber=z + 1, SOPInstanceUID=f"1.{patient[-1]}.{series}.{z}", **uids,
                )  # fmt: skip
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.9"}
    write_slice(tmp_path / "d" / "scout", PIXELS, PatientID="SECRET-1", SOPInstanceUID="1.1.9.1", **scout)
    (tmp_path / "d" / "notes.txt").write_text("no image")
    return tmp_path / "d"


@pytest.mark.parametrize(
    ("lists", "used", "aside"),
    [
        ({}, 20, {"localizer": 1, "not_dicom": 1}),
        ({"include": "patient,SECRET-1"}, 10, {"localizer": 1, "not_dicom": 1, "not_chosen": 10}),
        ({"exclude": "patient,secret1"}, 10, {"excluded": 11, "not_dicom": 1}),
        (
            {"include": "patient,SECRET-1\nmodality,CT", "exclude": "series,1.1.2"},
            *(5, {"localizer": 1, "not_dicom": 1, "not_chosen": 10, "excluded": 5}),
        ),
        ({"include": "date,1999-01-01"}, 0, {"not_dicom": 1, "not_chosen": 21}),
        ({"exclude": "modality,CT"}, 0, {"not_dicom": 1, "excluded": 21}),
    ],
)
def test_images_that_the_lists_leave_out_are_counted(two_patients, tmp_path, lists, used, aside):
    outputs = run(two_patients, tmp_path / "out", lists=lists)
    assert outputs.metrics["flow"] == {"taken": 22, "used": used, "aside": aside}
    assert (
        outputs.metrics["made"]["volumes"] == used // 5 and outputs.metrics["tables"]["reason"].get("used", 0) == used
    )
    assert len(outputs.files) == 22  # the reports of what is left out find their study


def test_what_is_chosen_has_the_pseudonyms_of_the_whole(two_patients, tmp_path):
    whole = run(two_patients, tmp_path / "whole").instances
    chosen = run(two_patients, tmp_path / "part", lists={"include": "patient,SECRET-2"}).instances
    used = chosen.filter(pl.col("reason").is_null())
    assert used.height == 10 and used["patient"].n_unique() == 1
    assert used.equals(whole.filter(pl.col("file").is_in(used["file"].to_list())))


def test_entries_that_match_nothing_are_named_by_line_and_never_by_value(two_patients, tmp_path, caplog, capfd):
    rows = "patient,SECRET-1\npatient,SECRET-9\nstudy,1.99\nbody_part,SECRETPART\ndate,1931-12-24"
    with caplog.at_level("DEBUG"):
        outputs = run(two_patients, tmp_path / "out", lists={"include": rows, "exclude": "series,1.77"})
    table = outputs.metrics["tables"]["entries of index.include"]
    assert table == {"match images": 1, "match none in this delivery": 4}
    assert "index.include: 4 entries match no image of this delivery: line 3, 4, 5, 6" in caplog.text
    assert "index.exclude: 1 entries match no image of this delivery: line 2" in caplog.text
    assert (
        "no image of this delivery is used: one must match an entry of each kind of the list: body_part" in caplog.text
    )
    public = str(outputs.instances.to_dicts()) + json.dumps(outputs.metrics) + caplog.text + str(capfd.readouterr())
    assert not any(word in public for word in ("SECRET", "1.99", "1.77", "1931"))


def test_entry_in_several_spellings_is_told_by_line(write_slice, tmp_path, caplog):
    for n, patient in enumerate(("0123", "00123")):
        uids = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), f"{n}.{n}")
        write_slice(tmp_path / "d" / str(n), PIXELS, PatientID=patient, **uids)
    kept = run(tmp_path / "d", tmp_path / "in", lists={"include": "modality,CT\npatient,123"})
    assert kept.metrics["flow"]["aside"] == {"not_chosen": 2}
    assert "differ in spelling only: none is used; write the identifier as the headers have it: line 3" in caplog.text
    left_out = run(tmp_path / "d", tmp_path / "ex", lists={"exclude": "modality,MR\npatient,123"})
    assert left_out.metrics["flow"]["aside"] == {"excluded": 2}
    assert "differ in spelling only: all are left out: line 3" in caplog.text


@pytest.mark.parametrize("digests", [{}, {"index.include": "0" * 16}])
def test_list_that_changed_since_the_run_began_is_refused(two_patients, tmp_path, digests):
    with pytest.raises(ValueError, match=r"^index\.include: the list has changed since the run began"):
        run(two_patients, tmp_path / "out", lists={"include": "patient,SECRET-1"}, digests=digests)
    with pytest.raises(ValueError, match=r"^index\.exclude: the list has changed"):
        run(two_patients, tmp_path / "out", digests={"index.exclude": "0" * 16})


def test_persons_of_patients_who_are_left_out_are_not_counted(two_patients, tmp_path):
    run(two_patients, tmp_path / "out", lists={"exclude": "patient,SECRET-1"}, persons=True)
    persons = read_table(tmp_path / "out" / "private" / "persons.parquet", PersonTable)
    assert persons["patient"].unique().to_list() == [Pseudonyms(KEY).patient("SECRET-2")]
