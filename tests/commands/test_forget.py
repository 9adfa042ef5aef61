"""A patient who withdraws consent leaves all that a run holds, also after a crash, and nobody else does."""

import base64
import csv
import io
import json
import shutil
import sqlite3
from contextlib import chdir, closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.factories import fingerprint, write_shards
from tests.factories.dicom import write_dicom
from tests.factories.runs import run_to_captions

from refrad.cli import main
from refrad.config import load_config
from refrad.core.contracts import CopyTable, MaskTable
from refrad.core.manifests import changed_files, write_sealed
from refrad.core.noted_exports import note_export
from refrad.core.private_files import refuse_unfinished_removal
from refrad.core.tables import frame_of, write_table
from refrad.dataset.shard_io import read_rows
from refrad.dicom.volume_store import read_volume
from refrad.llm.store import Store, Usage
from refrad.privacy.pseudonyms import Pseudonyms
from refrad.review.judgement import ReviewVerdict
from refrad.review.site_review import SiteReview
from refrad.review.verdicts import open_verdicts
from refrad.segmentation.labels import save_labels
from refrad.workflow.site import Site

KEY = bytes(range(32))
PSEUDONYMS = Pseudonyms(KEY)
SHARDS = 2
COLUMNS = ["report_id", "patient_id", "accession_number", "study_uid", "language", "text"]
# PatientID to a sentence of the report; two ids differ in padding only, and two are of one person.
PATIENTS = {
    "00123": "Leber mit einer Zyste von seltener Form im Segment VI.",
    "0123": "Milz mit einer kleinen Narbe am unteren Pol.",
    "P7": "Nieren beidseits ohne Stau und ohne Konkremente.",
    "Q8": "Pankreas schlank, ohne Raumforderung im Kopf.",
}
NAMES = {"00123": "Muster^Erika", "0123": "Beispiel^Hans", "P7": "Vorlage^Inge", "Q8": "Vorlage^Inge"}


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """A finished run on made-up files up to captions, with label volumes, as the workflow leaves it."""
    folder = tmp_path_factory.mktemp("finished")
    with chdir(folder):
        for name in ("workflow", "config.yaml"):
            Path(name).symlink_to(root / name)
        Path("demo").mkdir()
        Path("demo/key").write_bytes(KEY)
        deliver(PATIENTS)
        run_stages()
    return folder


@pytest.fixture
def site(finished, tmp_path, monkeypatch):
    """A copy of the run, which is the working directory."""
    shutil.copytree(finished, tmp_path / "site", symlinks=True)
    monkeypatch.chdir(tmp_path / "site")


def deliver(patients, **attributes):
    """Files and reports of a delivery, with the voxels of each patient apart."""
    for number, patient_id in enumerate(patients):
        uids = {"StudyInstanceUID": f"1.2.{number}.77777", "SeriesInstanceUID": f"1.3.{number}.77777"}
        header = {"PatientID": patient_id, "PatientName": NAMES[patient_id], "PatientBirthDate": "19501231"}
        header |= uids | {"AccessionNumber": f"ACC{number}-4711"} | attributes
        for z in range(5):
            pixels = np.full((4, 5), 100 * number + z, np.int16)
            place = {"ImagePositionPatient": [0, 0, z], "InstanceNumber": z + 1}
            write_dicom(Path(f"demo/demo/dicom/{patient_id}/{z}.dcm"), pixels, **header, **place)
    with Path("demo/demo/reports.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [
            [f"R{n}", name, "", f"1.2.{n}.77777", "de", f"Befund:\n{PATIENTS[name]}"] for n, name in enumerate(patients)
        ]
        csv.writer(file).writerows([COLUMNS, *rows])
    Path("demo/demo/references.csv").write_text("report_id,sentence,instance_uid\n", encoding="utf-8")


def run_stages():
    """Stages index, volumes and captions, and masks and copies as the stages write them."""
    images, reports = {"dicom": Path("demo/demo/dicom")}, Path("demo/demo/reports.csv")
    for shard, table in enumerate(run_to_captions("demo", images, reports, Path("demo/key"), SHARDS)):
        label(table, Path(f"results/masks/demo/{shard}/masks.parquet"), Path("stores/masks"))


def label(volume_table, path, store):
    rows = []
    for volume, digest in pl.read_parquet(volume_table).select("volume", "digest").drop_nulls().rows():
        name = f"{digest[:2]}/{digest}.nii.gz"
        labels, _ = save_labels(store / name, np.ones((5, 4, 5), np.uint8), np.diag([-1.0, -1.0, 1.0, 1.0]))
        row = {"volume": volume, "task": "total", "segmenter": "precomputed", "weights": None, "reason": None}
        rows.append(row | {"digest": labels, "file": name, "labels": 1})
    write_table(path, frame_of(rows, MaskTable), MaskTable, fingerprint("masks"))


def run_forget(*words):
    return main(["forget", *words, "--config", "config.yaml"])


def state():
    """Path to bytes of all files of the run."""
    folders = map(Path, ("private", "results", "stores"))
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def patients_in(pattern):
    frames = [pl.read_parquet(path) for path in sorted(Path().glob(pattern))]
    return set(pl.concat(frames)["patient"].drop_nulls())


def pseudonym(patient_id):
    return PSEUDONYMS.patient(patient_id)


TABLES = ["private/*/files.parquet", "private/*/persons.parquet", "results/index/*/*.parquet"]
TABLES += ["results/volumes/*/*/volumes.parquet", "results/captions/*/*/captions.parquet"]


@pytest.mark.usefixtures("site")
def test_patient_leaves_all_tables_and_stores_and_others_stay(capsys):
    volumes_before = {path.name for path in Path("stores/volumes").rglob("*.nii.gz")}
    assert run_forget("00123") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "removes 1 patients of deliveries demo:"
    assert "looked through private, results, stores and logs: nothing is left" in lines
    for pattern in TABLES:
        assert patients_in(pattern) == {pseudonym(name) for name in PATIENTS if name != "00123"}, pattern
    assert len({path.name for path in Path("stores/volumes").rglob("*.nii.gz")}) == len(volumes_before) - 1
    assert len(list(Path("stores/masks").rglob("*.nii.gz"))) == len(volumes_before) - 1
    left = b"".join(content for path, content in state().items() if "forgotten" not in path)
    assert b"Muster^Erika" not in left and pseudonym("00123").encode() not in left


@pytest.mark.usefixtures("site")
def test_dry_run_changes_nothing(capsys):
    before = state()
    assert run_forget("00123", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("would remove 1 patients of deliveries demo:")
    assert {path: content for path, content in state().items() if not path.endswith("/lock")} == before


@pytest.mark.usefixtures("site")
def test_counts_vouch_for_the_new_tables_and_say_what_is_gone():
    stamps = {path: path.stat().st_mtime_ns for path in Path("results").rglob("*.*")}
    assert run_forget("00123") == 0
    noted = 0
    for path in Path("results").rglob("metrics.json"):
        assert changed_files(path) == []
        noted += sum(
            json.loads(path.read_text())["tables"].get("rows removed since, as patients withdrew", {}).values()
        )
    assert noted == 5 + 1 + 5 + 1  # instances; volume and slices; caption
    assert {path: path.stat().st_mtime_ns for path in Path("results").rglob("*.*")} == stamps


@pytest.mark.usefixtures("site")
def test_new_index_leaves_the_patient_out():
    assert run_forget("00123") == 0
    before = {path: pl.read_parquet(path) for path in state() if path.endswith(".parquet")}
    run_stages()
    assert all(pl.read_parquet(path).equals(frame) for path, frame in before.items())
    metrics = json.loads(Path("results/index/demo/metrics.json").read_text())
    assert metrics["flow"]["aside"] == {"withdrawn": 5}
    reports = [
        json.loads(path.read_text())["tables"].get("reports", {})
        for path in Path("results/captions").rglob("metrics.json")
    ]
    assert sum(counts.get("withdrawn", 0) for counts in reports) == 1


@pytest.mark.usefixtures("site")
def test_later_delivery_does_not_bring_the_patient_back():
    assert run_forget("00123") == 0
    deliver(PATIENTS, StudyInstanceUID="1.9.9.99999", SeriesInstanceUID=None, SOPInstanceUID=None)
    run_stages()
    assert pseudonym("00123") not in patients_in("private/demo/files.parquet")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("words", "text"),
    [(["--from", "ids.txt"], "00123\n"), (["--from", "ids.txt"], "\ufeff 00123 \n\n"), (["--from", "-"], "00123\n")],
)
def test_id_comes_from_a_file_or_standard_input(monkeypatch, words, text):
    Path("ids.txt").write_text(text, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert run_forget(*words) == 0
    assert pseudonym("00123") not in patients_in("private/demo/files.parquet")


@pytest.mark.usefixtures("site")
def test_id_is_asked_for_without_being_shown(monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda _: "P7")
    assert run_forget() == 0
    assert pseudonym("P7") not in patients_in("private/demo/files.parquet")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("words", [["--from", "-"], [""]])
def test_no_id_is_said_in_one_line(monkeypatch, capsys, words):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("getpass.getpass", lambda _: "")
    assert run_forget(*words) == 1
    assert capsys.readouterr().err.startswith("refrad forget: no PatientID")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("patient_id", "words"),
    [
        ("999", "no delivery has a patient of this id: give it as the headers have it, digits padded"),
        ("123", "no delivery has a patient of this id, but 2 ids differ from it in spelling only"),
        ("p 7", "no delivery has a patient of this id, but 1 ids differ from it in spelling only"),
    ],
)
def test_unknown_patient_is_one_line_and_changes_nothing(capsys, patient_id, words):
    before = state()
    assert run_forget(patient_id) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"refrad forget: {words}") and error.count("\n") == 1
    assert {path for path in state() if not path.endswith("/lock")} == set(before)


@pytest.mark.usefixtures("site")
def test_same_person_under_other_ids_is_named_and_removed_if_wanted(capsys):
    assert run_forget("P7", "--dry-run") == 0
    assert "1 other id may be the same person" in capsys.readouterr().out
    assert run_forget("P7", "--with-candidates") == 0
    assert patients_in("private/demo/files.parquet") == {pseudonym("00123"), pseudonym("0123")}
    assert patients_in("results/captions/*/*/captions.parquet") == {pseudonym("00123"), pseudonym("0123")}


@pytest.mark.usefixtures("site")
def test_removed_patient_is_not_removed_again(capsys):
    assert run_forget("00123") == 0
    before = state()
    assert run_forget("00123") == 0
    assert "has been removed before" in capsys.readouterr().out
    assert state() == before


@pytest.mark.usefixtures("site")
def test_protocol_holds_no_original_identifier():
    assert run_forget("00123") == 0
    (path,) = Path("private/forgotten").glob("20*.json")
    protocol = json.loads(path.read_text())
    assert protocol["patients"] == [pseudonym("00123")] and protocol["left"] == []
    assert protocol["removed"]["volumes and label volumes"] == 2
    text = "".join(file.read_text() for file in Path("private/forgotten").iterdir())
    assert not any(word in text for word in ("00123", "77777", "4711", "Erika", "seltener"))
    assert path.stat().st_mode & 0o077 == 0


# Images without a PatientID


def deliver_volume(folder, patient_id="", **header):
    for z in range(5):
        place = {"ImagePositionPatient": [0, 0, z], "InstanceNumber": z + 1}
        pixels = np.full((4, 5), 900 + z, np.int16)
        write_dicom(Path(f"demo/demo/dicom/{folder}/{z}.dcm"), pixels, PatientID=patient_id, **place, **header)


def run_again():
    for name in ("private/demo", "results", "stores"):
        shutil.rmtree(name)
    run_stages()


OF_P7 = {"PatientName": "", "PatientBirthDate": "", "StudyInstanceUID": "1.2.2.77777", "SeriesInstanceUID": "1.3.50.1"}
OF_ERIKA = {"PatientName": "Muster^Erika", "PatientBirthDate": "19501231", "StudyInstanceUID": "1.2.60.77777"}


@pytest.mark.usefixtures("site")
def test_images_without_id_in_a_study_of_the_patient_go_and_stay_out():
    deliver_volume("p", **OF_P7)
    run_again()
    assert run_forget("P7") == 0
    expected = {pseudonym(name) for name in PATIENTS if name != "P7"}
    assert patients_in("private/demo/files.parquet") == expected
    assert patients_in("results/volumes/*/*/volumes.parquet") == expected
    assert len(list(Path("stores/volumes").rglob("*.nii.gz"))) == 3
    run_again()
    assert patients_in("private/demo/files.parquet") == expected


@pytest.mark.usefixtures("site")
def test_patient_without_id_is_a_candidate_and_goes_by_a_study(capsys):
    deliver_volume("e", **OF_ERIKA, SeriesInstanceUID="1.3.60.1")
    run_again()
    assert run_forget("00123", "--dry-run") == 0
    assert "2 other ids may be the same person" in capsys.readouterr().out  # with "0123"
    assert run_forget("1.2.60.77777") == 0
    assert patients_in("private/demo/files.parquet") == set(map(pseudonym, PATIENTS))
    assert run_forget("1.2.60.77777") == 0
    assert "has been removed before" in capsys.readouterr().out
    deliver_volume("e", **OF_ERIKA | {"StudyInstanceUID": "1.2.61.77777"}, SeriesInstanceUID="1.3.61.1")
    run_again()
    assert patients_in("private/demo/files.parquet") == set(map(pseudonym, PATIENTS))


@pytest.mark.usefixtures("site")
def test_id_that_no_delivery_has_is_kept_out_in_advance(capsys):
    Path("ids.txt").write_text("P7\n\nX99\n", encoding="utf-16")
    assert run_forget("--from", "ids.txt") == 1
    assert "no delivery has a patient of id 2 of 2, " in capsys.readouterr().err
    assert run_forget("--from", "ids.txt", "--in-advance") == 0
    assert pseudonym("P7") not in patients_in("private/demo/files.parquet")
    deliver_volume("x", "X99", StudyInstanceUID="1.2.99.77777", SeriesInstanceUID="1.3.99.77777")
    run_again()
    assert patients_in("private/demo/files.parquet") == {pseudonym(name) for name in PATIENTS if name != "P7"}


# Crashes, and other processes

CUT = [f"refrad.withdrawal.removal.{name}" for name in ("remove_rows", "seal_again", "remove_replies", "keep_records")]
CUT += [f"refrad.commands.forget.{name}" for name in ("keep_digests", "Traces", "write_protocol")]
CUT += ["refrad.privacy.withdrawals.Withdrawals.add"]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("step", CUT)
def test_removal_that_was_cut_off_is_ended_by_the_next_call(monkeypatch, capsys, step):
    with monkeypatch.context() as patch:

        def die(*_arguments, **_options):
            raise KeyboardInterrupt

        patch.setattr(step, die)
        with pytest.raises(KeyboardInterrupt):
            run_forget("00123")
    assert Path("private/forgotten/unfinished.json").exists()
    monkeypatch.setattr("getpass.getpass", lambda _: pytest.fail("the id is asked for again"))
    assert run_forget() == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("now run snakemake")
    assert not Path("private/forgotten/unfinished.json").exists()
    for pattern in TABLES:
        assert pseudonym("00123") not in patients_in(pattern)
    assert all(changed_files(path) == [] for path in Path("results").rglob("metrics.json"))


@pytest.mark.usefixtures("site")
def test_workflow_does_not_start_while_a_removal_is_unfinished():
    private = Path("private")
    refuse_unfinished_removal(private)
    (private / "forgotten").mkdir()
    (private / "forgotten/unfinished.json").write_text("{}")
    with pytest.raises(ValueError, match="refrad forget"):
        refuse_unfinished_removal(private)


@pytest.mark.usefixtures("site")
def test_running_workflow_is_left_alone(capsys):
    Path(".snakemake/locks").mkdir(parents=True)
    Path(".snakemake/locks/0.input.lock").touch()
    before = state()
    assert run_forget("00123") == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert state() == before


@pytest.mark.usefixtures("site")
def test_second_call_at_once_is_refused(monkeypatch, capsys):
    def refused(*_):
        raise OSError

    monkeypatch.setattr("fcntl.lockf", refused)
    assert run_forget("00123") == 1
    assert "another `refrad forget` is at work" in capsys.readouterr().err


# What else may hold a patient


@pytest.mark.usefixtures("site")
def test_entry_that_another_patient_has_stays():
    (path,) = [path for path in Path("results/masks").rglob("*.parquet") if pseudonym("00123") in _patients_of(path)]
    frame = pl.read_parquet(path)
    own = _file_of(path, "00123")
    other = Path("results/masks/demo") / str(1 - int(path.parent.name)) / "masks.parquet"
    foreign = pl.read_parquet(other)
    write_table(other, foreign.with_columns(file=pl.lit(own)), MaskTable, fingerprint("masks"))
    assert frame.height and foreign.height
    assert run_forget("00123") == 0
    assert (Path("stores/masks") / own).exists()


def _volumes_of(path):
    volumes_of_shard = pl.read_parquet(Path(str(path).replace("masks", "volumes")))
    return pl.read_parquet(path).join(volumes_of_shard.select("volume", "patient"), on="volume")


def _patients_of(path):
    return set(_volumes_of(path)["patient"])


def _file_of(path, patient_id):
    return _volumes_of(path).filter(patient=pseudonym(patient_id))["file"].item()


@pytest.mark.usefixtures("site")
def test_copy_of_another_patient_stays_left_out_without_its_original(capsys):
    table = pl.concat([pl.read_parquet(path) for path in Path("results/volumes").rglob("volumes.parquet")])
    volume = dict(table.select("patient", "volume").rows())
    rows = [
        {"volume": volume[pseudonym("P7")], "original": volume[pseudonym("00123")], "reason": "copy_of_volume"},
        {"volume": volume[pseudonym("00123")], "original": volume[pseudonym("Q8")], "reason": None},
    ]
    rows = [row | {"relation": "another_patient", "kind": "same_voxels"} for row in rows]
    path = Path("results/copies/demo/copies.parquet")
    write_table(path, frame_of(rows, CopyTable), CopyTable, fingerprint("copies"))
    assert run_forget("00123") == 0
    assert "1 volumes of other patients are copies" in capsys.readouterr().out
    (left,) = pl.read_parquet(path).to_dicts()
    assert (left["volume"], left["original"], left["reason"]) == (
        volume[pseudonym("P7")],
        "withdrawn",
        "copy_of_volume",
    )


@pytest.mark.usefixtures("site")
def test_label_volume_of_earlier_settings_goes_by_its_grid(capsys):
    own, foreign = Path("stores/masks/aa/aa.nii.gz"), Path("stores/masks/bb/bb.nii.gz")
    table = pl.concat([pl.read_parquet(path) for path in Path("results/volumes").rglob("volumes.parquet")])
    _, affine = read_volume(Path("stores/volumes") / table.filter(patient=pseudonym("00123"))["file"].item())
    save_labels(own, np.zeros((5, 4, 5), np.uint8), affine)
    save_labels(foreign, np.zeros((5, 4, 6), np.uint8), affine)
    assert run_forget("00123") == 0
    assert not own.exists() and foreign.exists()
    assert "1 entries of the stores are in no table of this run" in capsys.readouterr().out
    assert run_forget("P7", "--unnamed") == 0
    assert not foreign.exists()


@pytest.mark.usefixtures("site")
def test_verdicts_of_reviewers_go_though_they_only_grow():
    path = Path("private/review/verdicts.sqlite")
    reject("00123", "Zyste ist Haemangiom")
    reject("P7", "gut")
    assert run_forget("00123") == 0
    with open_verdicts(path) as store:
        assert [verdict.reason for verdict in store.all()] == ["gut"]
    with closing(sqlite3.connect(path)) as database, pytest.raises(sqlite3.IntegrityError):
        database.execute("delete from verdicts")
    assert b"Haemangiom" not in path.read_bytes()


def reject(patient_id, reason):
    with open_verdicts(Path("private/review/verdicts.sqlite")) as store:
        store.add(
            ReviewVerdict(
                reviewer="AB", delivery="demo", shard=0, patient=pseudonym(patient_id), image_id=f"i{patient_id}",
                item="caption", item_id="c1", verdict="reject", reason=reason, digest="d1",
            )
        )  # fmt: skip


@pytest.mark.usefixtures("site")
def test_shard_of_an_erased_rejection_keeps_its_fingerprint():
    def fingerprints():
        review = SiteReview(Site(load_config([Path("config.yaml")])))
        return [review.fingerprint_of("shards", "demo", shard) for shard in range(SHARDS)]

    unjudged = fingerprints()
    reject("00123", "Zyste ist Haemangiom")
    reject("P7", "gut")
    rejected = fingerprints()
    assert rejected != unjudged
    for patient_id in ("00123", "P7"):
        assert run_forget(patient_id) == 0
        assert fingerprints() == rejected
    text = Path("private/forgotten/rejections.json").read_text()
    assert not any(word in text for word in (pseudonym("00123"), "i00123", "c1", "Haemangiom"))


@pytest.mark.usefixtures("site")
def test_replies_pages_answers_and_lists_are_removed():
    store = Store(Path("stores/llm"))
    store.note("0" * 32, pseudonym("00123"))
    store.put("0" * 32, "rewrite", "m", json.dumps({"sentence": PATIENTS["00123"]}), None, Usage(1, 1, 0.1))
    store.close()
    texts = {
        "stores/answers/a.jsonl": PATIENTS["00123"],
        "results/report/index.html": PATIENTS["00123"],
        "results/audit/sheet.csv": PATIENTS["00123"],
        "private/demo/storage_errors_1.txt": "00123/broken\n00123/0.dcm\nP7/0.dcm\n",
        "results/volumes/demo/0/.12-host-0123abcd.volumes.parquet": "half",
    }
    for name, text in texts.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    assert run_forget("00123") == 0
    assert Path("private/demo/storage_errors_1.txt").read_text() == "P7/0.dcm\n"
    assert [name for name in texts if Path(name).exists()] == ["private/demo/storage_errors_1.txt"]


@pytest.mark.usefixtures("site")
def test_exports_elsewhere_are_named_and_those_of_the_results_go(capsys, tmp_path):
    for name in ("results/export/dicom", "results/export/foreign", str(tmp_path / "given")):
        Path(name).mkdir(parents=True)
        note_export(Path("private"), "export-dicom", Path(name))
    Path("results/export/dicom/image.dcm").write_bytes(b"..." + pseudonym("00123").encode())
    assert run_forget("00123") == 0
    assert sorted(path.name for path in Path("results/export").iterdir()) == ["foreign"]
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "export-dicom" in line]
    assert line.startswith(f"{tmp_path / 'given'} (export-dicom, 20") and line.endswith(
        ": delete it by hand, and recall its copies"
    )
    (path,) = Path("private/forgotten").glob("20*.json")
    assert len(json.loads(path.read_text())["exports"]) == 1


@pytest.mark.usefixtures("site")
def test_evaluation_of_another_model_stays_without_the_patient():
    folder = Path("results/evaluate/former")
    folder.mkdir(parents=True)
    rows = [
        {"id": name, "group": pseudonym(name), "image_id": f"i{name}", "answer": PATIENTS[name]}
        for name in ("00123", "P7")
    ]
    for name in ("truth", "predictions"):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    write_sealed(folder / "metrics.json", {"examples": {"best": rows}}, sorted(folder.glob("*.jsonl")))
    assert run_forget("00123") == 0
    assert [json.loads(line)["id"] for line in (folder / "truth.jsonl").read_text().splitlines()] == ["P7"]
    assert [row["id"] for row in json.loads((folder / "metrics.json").read_text())["examples"]["best"]] == ["P7"]
    assert changed_files(folder / "metrics.json") == []


@pytest.mark.usefixtures("site")
def test_images_of_former_shards_go_and_checkpoints_that_saw_them_are_named(images, capsys):
    rows = [row | {"split": "train"} for row in read_rows([images])]
    own, foreign = ([row | {"patient": pseudonym(name), "study": name} for row in rows] for name in ("00123", "P7"))
    (moved, *_) = write_shards(Path("results/former"), {"gone/0": [*own[:5], *foreign[5:]]})
    write_sealed(Path("results/former/metrics/gone/0/metrics.json"), {"tables": {}}, [moved])
    for name, delivery in (("seen", "gone"), ("unseen", "here")):
        checkpoint = Path("results/train") / name
        checkpoint.mkdir(parents=True)
        (checkpoint / "model.safetensors").write_bytes(b"weights")
        record = Path(".snakemake/metadata") / base64.b64encode(str(checkpoint).encode()).decode()
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({"input": [f"results/shards/data/{delivery}/0/train.parquet"]}))
    assert run_forget("00123") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "         5  images of former deliveries and shards" in lines
    assert [line.split(":")[0] for line in lines if line.startswith("results/train")] == ["results/train/seen"]
    assert "looked through private, results, stores and logs: nothing is left" in lines
    assert {row["patient"] for row in read_rows([moved])} == {pseudonym("P7")}
    assert changed_files(Path("results/former/metrics/gone/0/metrics.json")) == []


@pytest.mark.usefixtures("site")
def test_file_that_still_holds_a_trace_is_named(capsys):
    Path("results/own").mkdir()
    Path("results/own/notes.txt").write_text(f"see patient {pseudonym('00123')}")
    Path("results/own/letter.txt").write_text(PATIENTS["00123"])
    Path("results/own/fine.txt").write_text(pseudonym("P7"))
    pl.DataFrame({"picture": [b"PNG"], "of": [pseudonym("P7")]}).write_parquet("results/own/pictures.parquet")
    assert run_forget("00123") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "2 files still hold a trace of the patient: look at them, and delete them by hand:" in lines
    assert {"  results/own/notes.txt", "  results/own/letter.txt"} <= set(lines)
    (path,) = Path("private/forgotten").glob("20*.json")
    assert len(json.loads(path.read_text())["left"]) == 2


@pytest.mark.usefixtures("site")
def test_delivery_that_left_the_config_is_searched_too():
    for name in ("private", "results/index", "results/volumes", "results/captions"):
        (Path(name) / "demo").rename(Path(name) / "former")
    assert run_forget("00123") == 0
    assert pseudonym("00123") not in patients_in("private/former/files.parquet")
    assert pseudonym("00123") not in patients_in("results/captions/former/*/captions.parquet")


@pytest.mark.usefixtures("site")
def test_missing_key_is_not_made(capsys):
    Path("demo/key").unlink()
    assert run_forget("00123") == 1
    assert not Path("demo/key").exists()
    assert "privacy.key" in capsys.readouterr().err
