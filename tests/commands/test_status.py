import json
import os
import subprocess
import sys
import time

import pytest
import yaml

from refrad.commands import status
from refrad.config import ConfigError, load_config
from refrad.workflow import job_records
from refrad.workflow.jobs import STATES, jobs_of, page_jobs
from refrad.workflow.site import Site


@pytest.fixture
def site(root, tmp_path, monkeypatch):
    """The demo's config in a folder where index is done and volumes of shard 1 have failed."""
    monkeypatch.chdir(root)
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    config["pathvars"] = {"results": str(tmp_path / "results"), "logs": str(tmp_path / "logs")}
    metrics = {
        "stage": "index",
        "fingerprint": Site(config).fingerprint("index"),
        "unit": "files",
        "flow": {"taken": 3, "used": 2, "aside": {"not_dicom": 1}},
        "made": {},
        "tables": {},
        "seconds": {"total": 1.0},
    }
    (tmp_path / "results" / "index" / "demo").mkdir(parents=True)
    (tmp_path / "results" / "index" / "demo" / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "logs" / "volumes" / "demo").mkdir(parents=True)
    (tmp_path / "logs" / "volumes" / "demo" / "1.log").write_text(
        "12:00:00 volumes\nrefrad volumes: the disk is full\n"
    )
    return Site(config)


def test_job_states_follow_from_its_files(site):
    states = {(job.stage, job.name): job.state for job in jobs_of(site)}
    assert states["index", "demo"] == "done"
    assert states["volumes", "demo 1"] == "failed"
    assert states["volumes", "demo 0"] == states["evaluate", "demo"] == "waiting"


def test_summary_ends_with_the_last_log_lines_of_failed_jobs(site):
    text = status.summary(jobs_of(site))
    assert text.splitlines()[-2] == "volumes demo 1 (failed): refrad volumes: the disk is full"


def test_status_pages_never_replace_the_report(site, tmp_path):
    page, notes = status.write_pages(site, jobs_of(site))
    assert not notes
    assert page == tmp_path / "results" / "status" / "index.html"
    assert "the disk is full" in page.read_text(encoding="utf-8")
    assert not (tmp_path / "results" / "report").exists()


def test_log_tells_running_failed_and_stopped_jobs_apart(site, tmp_path):
    log = tmp_path / "logs" / "volumes" / "demo" / "0.log"
    living = subprocess.Popen(["sleep", "60"])
    start = job_records.process_start(living.pid)
    own = job_records.own_record()

    def state(*lines):
        log.write_text("\n".join(("12:00:00 volumes: begins", *lines, "")), encoding="utf-8")
        return next(job.state for job in jobs_of(site) if (job.stage, job.name) == ("volumes", "demo 0"))

    record = f"12:00:00 volumes: {own._replace(pid=living.pid, start=start)}"
    assert state(record) == "running"
    assert state(record, "refrad volumes: the disk is full") == "failed"
    living.kill()
    living.wait()
    assert state(record, "12:00:01 volumes: 1 of 9") == "stopped"
    assert state(record, "Traceback (most recent call last):", "ValueError: x") == "failed"
    assert state(record, "Traceback (most recent call last):", "KeyboardInterrupt") == "stopped"
    assert state(f"12:00:00 volumes: {own._replace(start=own.start + 1)}") == "stopped", "another process of this id"


@pytest.mark.parametrize(("queue", "state"), [("77\n78", "running"), ("78", "stopped"), ("", "stopped")])
def test_slurm_queue_tells_whether_a_job_runs(site, tmp_path, monkeypatch, queue, state):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "squeue").write_text(f"#!/bin/sh\nprintf '{queue}\n'\n", encoding="utf-8")
    (folder / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    job_records.slurm_jobs.cache_clear()
    log = tmp_path / "logs" / "volumes" / "demo" / "0.log"
    log.write_text("volumes: process 1 since 2 in ab-1 on node7, Slurm job 77\n", encoding="utf-8")
    states = {(job.stage, job.name): job.state for job in jobs_of(site)}
    job_records.slurm_jobs.cache_clear()
    assert states["volumes", "demo 0"] == state


@pytest.mark.parametrize(("age", "state"), [(10, "running"), (3600, "stopped")])
def test_heartbeat_counts_where_the_process_cannot_be_seen(site, tmp_path, monkeypatch, age, state):
    monkeypatch.setattr(job_records, "slurm_jobs", lambda: None)
    log = tmp_path / "logs" / "volumes" / "demo" / "0.log"
    log.write_text("volumes: process 1 since 2 in ab-1 on elsewhere\n", encoding="utf-8")
    os.utime(log, (time.time() - age,) * 2)
    states = {(job.stage, job.name): job.state for job in jobs_of(site)}
    assert states["volumes", "demo 0"] == state


def test_stage_writes_its_process_and_its_error_into_its_log(site, tmp_path, root):
    log = tmp_path / "logs" / "volumes" / "demo" / "0.log"
    with log.open("w") as file:
        command = [sys.executable, "-m", "refrad", "card", "--images", "none.parquet", "--persons", "none"]
        for flag in ("card", "croissant-file", "crate", "leakage", "former", "metrics"):
            command += [f"--{flag}", str(tmp_path / flag)]
        run = subprocess.run([*command, "--fingerprint", site.fingerprint("card")], cwd=root, stderr=file, stdout=file)
    assert run.returncode == 1
    (record,) = job_records.read_records(log)
    assert record.host == job_records.own_record().host and not job_records.is_alive([record], log)


@pytest.mark.parametrize("damage", ["metrics", "nothing done", "broken page"])
def test_end_of_a_failed_run_names_the_error_whatever_is_there(site, tmp_path, monkeypatch, damage):
    metrics = tmp_path / "results" / "index" / "demo" / "metrics.json"
    if damage == "metrics":
        metrics.write_text('{"sta', encoding="utf-8")
    elif damage == "nothing done":
        metrics.unlink()
    else:
        monkeypatch.setattr(status.report, "run", lambda **_: 1 / 0)
    text = status.explain_failure(site)
    assert ("no status pages: ZeroDivisionError" in text) == (damage == "broken page")
    if damage != "broken page":
        assert "failed: volumes demo 1: refrad volumes: the disk is full" in text
        assert (tmp_path / "results" / "status" / "index.html").is_file()


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("refrad volumes: bad\nW1129 torch: sending SIGTERM\n", "failed: volumes demo 0: refrad volumes: bad"),
        (
            "Traceback (most recent call last):\n  File x\nKeyError: 'a'\nUserWarning: leaked\n",
            "failed: volumes demo 0: KeyError: 'a'",
        ),
        ("", "stopped: volumes demo 0: killed, out of memory or time, or its machine went down"),
    ],
)
def test_end_of_a_failed_run_has_error_log_and_remedy(site, tmp_path, log, words):
    """Also of a job that wrote no record of its process, and just now."""
    (tmp_path / "logs" / "volumes" / "demo" / "0.log").write_text(log)
    lines = status.explain_failure(site).splitlines()
    assert lines[lines.index(words) + 1] == f"  log: {tmp_path}/logs/volumes/demo/0.log"
    assert lines[-1] == status.NEXT


def test_finished_job_that_would_run_again_is_due(site):
    jobs = status.with_due(
        [*jobs_of(site), *page_jobs(site)],
        [
            {"rule": "index_delivery", "wildcards": {"delivery": "demo"}, "reason": ""},
            {"rule": "volumes_shard", "wildcards": {"delivery": "demo", "shard": "1"}, "reason": ""},
            {"rule": "model_report", "wildcards": {}, "reason": ""},
        ],
    )
    states = {(job.stage, job.name): job.state for job in jobs}
    assert states["index", "demo"] == "due" and states["volumes", "demo 1"] == "failed"
    assert states["report", "model"] == states["volumes", "demo 0"] == "waiting"


def test_job_of_the_pages_that_failed_is_named(site, tmp_path):
    (tmp_path / "logs" / "report.log").write_text("refrad report: the disk or the quota is full\n")
    assert "failed: report dataset: refrad report: the disk or the quota is full" in status.explain_failure(site)


@pytest.mark.parametrize(("age", "named"), [(60, []), (-60, ["report/index.html"])])
def test_end_of_a_run_names_only_files_that_it_made(site, tmp_path, age, named):
    for path in ("shards/README.md", "report/index.html"):
        (tmp_path / "results" / path).parent.mkdir()
        (tmp_path / "results" / path).write_text("x")
    now = time.time()
    os.utime(tmp_path / "results" / "shards" / "README.md", (now - 3600,) * 2)
    text = status.explain_success(site, now + age, False)
    assert [path for path in ("shards/README.md", "report/index.html") if path in text] == named
    assert "files                      3           2           1  1 not DICOM" in text


def test_end_of_a_run_leaves_out_the_stages_after_it(site, tmp_path):
    later = tmp_path / "results" / "volumes" / "demo" / "0" / "metrics.json"
    later.parent.mkdir(parents=True)
    later.write_text((tmp_path / "results" / "index" / "demo" / "metrics.json").read_text())
    now = time.time()
    os.utime(later, (now - 3600,) * 2)
    assert "volumes" not in status.explain_success(site, now - 60, False)
    assert "1 of 2 of volumes" in status.explain_success(site, now - 7200, False)


def test_end_of_a_run_counts_no_damaged_metrics(site, tmp_path):
    (tmp_path / "results" / "index" / "demo" / "metrics.json").write_text('{"sta')
    assert "jobs that are not counted: 1 of 1 of index" in status.explain_success(site, 0, False)


@pytest.mark.parametrize("coloured", [True, False])
def test_end_of_a_failed_run_says_that_the_dataset_is_empty(site, tmp_path, coloured):
    index = json.loads((tmp_path / "results" / "index" / "demo" / "metrics.json").read_text())
    for shard in ("0", "1"):
        path = tmp_path / "results" / "shards" / "metrics" / "demo" / shard / "metrics.json"
        path.parent.mkdir(parents=True)
        empty = {"stage": "shards", "fingerprint": site.fingerprint("shards"), "unit": "images"}
        path.write_text(json.dumps(index | empty | {"flow": {"taken": 0, "used": 0, "aside": {}}}))
    text = status.explain_failure(site, coloured)
    assert "No image is grounded" in text and "1 of 3 files: The file is not DICOM." in text
    assert f"{tmp_path}/results/status/stages/index.html" in text
    assert (tmp_path / "results" / "status" / "stages" / "index.html").is_file() and ("\x1b[31m" in text) == coloured


def test_status_takes_config_yaml_without_arguments(site, monkeypatch, capsys, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(site.config.model_dump(mode="json", by_alias=True)))
    monkeypatch.setattr(status, "load_config", lambda paths: load_config([tmp_path / paths[0]]))
    status.main()
    assert capsys.readouterr().out.splitlines()[0].split() == ["stage", *STATES]


def test_config_files_are_merged_key_by_key(tmp_path):
    (tmp_path / "a.yaml").write_text("demo: {patients: 96, seed: 0}\nstores: a\n")
    (tmp_path / "b.yaml").write_text("demo: {patients: 3}\n")
    merged = load_config([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert merged == {"demo": {"patients": 3, "seed": 0}, "stores": "a"}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a: " + b"[" * 100_000, ""),
        (b"a: [", ", line 1"),
        (b"a: 1\nb:\n\tc: 1", ", line 3"),
        (b"a: 1\nb 2\nc: 3", ", line 3"),
        (b"\xff\xfe\xff", ""),
    ],
)
def test_config_file_that_is_no_yaml_is_named(content, line, tmp_path):
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"a\.yaml{line}: cannot be read as YAML: "):
        load_config([tmp_path / "a.yaml"])


def test_missing_config_file_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match=r"no\.yaml: no such file or directory: start this in the folder of the Snakefile"
    ):
        load_config([tmp_path / "no.yaml"])
