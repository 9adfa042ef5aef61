import json

import pytest
import yaml

from refrad.commands import status
from refrad.config import ConfigError, load_config
from refrad.workflow.jobs import jobs_of
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
    assert text.splitlines()[-2] == "volumes demo 1: refrad volumes: the disk is full"


def test_status_pages_never_replace_the_report(site, tmp_path):
    page = status.write_pages(site)
    assert page == tmp_path / "results" / "status" / "index.html"
    assert "the disk is full" in page.read_text(encoding="utf-8")
    assert not (tmp_path / "results" / "report").exists()


def test_config_files_are_merged_key_by_key(tmp_path):
    (tmp_path / "a.yaml").write_text("demo: {patients: 96, seed: 0}\nstores: a\n")
    (tmp_path / "b.yaml").write_text("demo: {patients: 3}\n")
    merged = load_config([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert merged == {"demo": {"patients": 3, "seed": 0}, "stores": "a"}


@pytest.mark.parametrize("content", [b"a: " + b"[" * 100_000, b"a: [", b"\xff\xfe\xff"])
def test_config_file_that_is_no_yaml_is_named(content, tmp_path):
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.yaml: cannot be read as YAML"):
        load_config([tmp_path / "a.yaml"])


def test_missing_config_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.yaml"):
        load_config([tmp_path / "no.yaml"])
