"""A patient withdraws consent after a whole run with a language model: nothing is left, nothing comes back, little runs again."""

import gzip
import json
import os
import sqlite3
import subprocess
import sys

import polars as pl
import pytest
from tests.llm.talking import TalkingServer, completion

from projects import SMALL_DEMO, copy_project

pytestmark = pytest.mark.slow

LOOKED_THROUGH = ("private", "results", "stores", "logs", ".snakemake")


@pytest.fixture(scope="module")
def server():
    """A model that leaves sentences as they are, but for a word that only its replies have."""

    def behave(body):
        sentence = json.loads(body["messages"][1]["content"])["sentence"]
        return completion(json.dumps({"sentence": sentence}, ensure_ascii=False))

    talking = TalkingServer(behave)
    yield talking
    talking.stop()


@pytest.fixture(scope="module")
def run(tmp_path_factory, server):
    """A finished run, with captions that a language model has looked at, and two exports."""
    project = copy_project(tmp_path_factory.mktemp("withdrawal"))
    model = {"endpoint": server.endpoint, "model": "wise-1b"}
    project.configure(SMALL_DEMO | {"llm": {"rewrite": model}, "captions": {"rewrite": "llm"}})
    project.snakemake("all")
    for command in (["export", "coco"], ["status", "config.yaml", "own.yaml"]):
        assert refrad(project, *command).returncode == 0
    return project


def refrad(project, *arguments, text=None):
    environment = os.environ | {"PYTHONPATH": str(project.folder / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "refrad", *arguments]
    return subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, input=text)


def forget(project, *arguments, text=None):
    return refrad(project, "forget", *arguments, "--config", "config.yaml", "own.yaml", text=text)


def tables(project, pattern):
    return [pl.read_parquet(path) for path in sorted(project.folder.glob(pattern))]


def patients_of(project, split):
    """Patients of a split with images in the dataset, with a sentence that no other patient has."""
    captions = pl.concat(tables(project, "results/captions/*/*/captions.parquet"))
    rows = pl.concat(
        [frame.select("patient", "split") for frame in tables(project, "results/shards/data/*/*/*.parquet")]
    )
    return [
        patient
        for patient in sorted(set(rows.filter(pl.col("split") == split)["patient"]))
        if own_sentences(captions, patient)
    ]


def own_sentences(captions, patient):
    others = "\n".join(captions.filter(pl.col("patient") != patient)["text"])
    texts = captions.filter(pl.col("patient") == patient)["text"]
    return {text for text in texts if len(text) > 16 and text not in others}


def needles(project, patient):
    """All that identifies a patient in a run, by kind."""
    files = pl.concat(tables(project, "private/*/files.parquet")).filter(pl.col("patient") == patient)
    instances = pl.concat(tables(project, "results/index/*/instances.parquet")).filter(pl.col("patient") == patient)
    volumes = pl.concat(tables(project, "results/volumes/*/*/volumes.parquet")).filter(pl.col("patient") == patient)
    captions = pl.concat(tables(project, "results/captions/*/*/captions.parquet"))
    own = captions.filter(pl.col("patient") == patient)
    names = ("patient_id", "accession_number", "study_uid", "series_uid", "instance_uid", "patient_name")
    return {
        "originals": set().union(*(files[name] for name in names)) - {""},
        "pseudonyms": {patient}
        | set().union(*(instances[name].drop_nulls() for name in ("study", "series", "volume", "instance", "file"))),
        "volumes": set(volumes["digest"].drop_nulls()),
        "captions": set().union(*(own[name] for name in ("caption", "sentence", "report"))),
        "sentences": own_sentences(captions, patient),
    }


def traces(project, wanted):
    """Kind to the files that hold one of the needles: names, bytes as they are, and unpacked."""
    left = {kind: set() for kind in wanted}
    for folder in LOOKED_THROUGH:
        for path in (project.folder / folder).rglob("*"):
            name = path.relative_to(project.folder).as_posix()
            if not path.is_file() or name.startswith("private/forgotten"):
                continue
            content = name.encode() + path.read_bytes()
            if path.suffix == ".gz":
                content += gzip.decompress(path.read_bytes())
            if path.suffix == ".parquet":
                frame = pl.read_parquet(path)
                pictures = [column for column, kind in frame.schema.items() if "Binary" in str(kind)]
                content += frame.drop(pictures).write_json().encode()
            for kind, values in wanted.items():
                if any(value.encode() in content for value in values):
                    left[kind].add(name)
    return {kind: names for kind, names in left.items() if names}


def replies(project):
    (path,) = (project.folder / "stores/llm").glob("replies-*.sqlite")
    with sqlite3.connect(path) as database:
        return {key for (key,) in database.execute("select key from replies")}


def failures(project):
    (path,) = (project.folder / "stores/llm").glob("replies-*.sqlite")
    with sqlite3.connect(path) as database:
        return database.execute("select count(*) from replies where answer is null").fetchone()[0]


def test_patient_who_withdraws_is_removed(run, server):
    patient = patients_of(run, "train")[0]
    wanted = needles(run, patient)
    before = traces(run, wanted)
    assert set(before) == set(wanted)
    assert any(name.startswith("stores/llm") for name in before["sentences"])
    assert any(name.startswith("stores/volumes") for name in before["volumes"])
    (patient_id,) = pl.concat(tables(run, "private/*/files.parquet")).filter(patient=patient)["patient_id"].unique()
    kept = replies(run)

    said = forget(run, "--from", "-", "--dry-run", text=f"{patient_id}\n")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("would remove 1 patients of deliveries demo:")
    assert traces(run, wanted) == before

    said = forget(run, "--from", "-", text=f"{patient_id}\n")
    assert said.returncode == 0, said.stderr
    assert "nothing is left" in said.stdout
    assert "results/train/demo: has learnt from the patient" in said.stdout
    assert traces(run, wanted) == {}
    assert replies(run) < kept
    (protocol,) = (run.folder / "private/forgotten").glob("20*.json")
    assert not any(value in protocol.read_text() for kind in ("originals", "sentences") for value in wanted[kind])
    assert json.loads(protocol.read_text())["patients"] == [patient]
    assert not (run.folder / "results/export/coco").exists()

    # Only what describes all patients together is due, and nothing is asked again
    assert run.planned("all") == {"card", "report", "model_report"}
    asked = len(server.bodies)
    run.snakemake("all")
    assert len(server.bodies) == asked
    assert traces(run, wanted) == {}
    assert run.planned("all") == set()
    assert refrad(run, "check", "config.yaml", "own.yaml").stdout.splitlines()[-1] == "all are sound"

    # A new run of the stages leaves the patient out, and makes the same tables
    thinned = {
        stage: tables(run, f"results/{stage}/**/*.parquet") for stage in ("index", "captions", "volumes", "grounded")
    }
    run.snakemake("grounded", "--forcerun", "index_delivery")
    for stage, frames in thinned.items():
        again = tables(run, f"results/{stage}/**/*.parquet")
        assert all(one.equals(other) for one, other in zip(frames, again, strict=True)), stage
    assert traces(run, wanted) == {}
    again = {json.loads(body["messages"][1]["content"])["sentence"] for body in server.bodies[asked:]}
    assert len(again) == failures(run)  # which every run requests again
    assert not again & wanted["sentences"]
    metrics = json.loads((run.folder / "results/index/demo/metrics.json").read_text())
    assert metrics["flow"]["aside"]["withdrawn"] > 0
    reports = [
        json.loads(path.read_text())["tables"].get("reports", {})
        for path in (run.folder / "results/captions").rglob("metrics.json")
    ]
    assert sum(counts.get("withdrawn", 0) for counts in reports) > 0


def test_withdrawn_test_patient_is_evaluated_no_more(run):
    patient = patients_of(run, "test")[0]
    wanted = needles(run, patient)
    (patient_id,) = pl.concat(tables(run, "private/*/files.parquet")).filter(patient=patient)["patient_id"].unique()
    run.snakemake("all")
    before = traces(run, wanted)
    assert "results/evaluate/demo/truth.jsonl" in before["pseudonyms"]
    assert forget(run, patient_id).returncode == 0
    assert traces(run, wanted) == {}
    assert run.planned("all") == {"card", "report", "model_report", "evaluate"}


@pytest.mark.parametrize("patient_id", ["0", "unknown", "000000000000000000000001"])
def test_unknown_patient_is_one_line(run, patient_id):
    said = forget(run, patient_id)
    assert (said.returncode, said.stdout) == (1, "")
    assert (
        said.stderr.startswith("refrad forget: no delivery has a patient of this id") and said.stderr.count("\n") == 1
    )
