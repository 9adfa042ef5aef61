"""Why a stage would run again, in words."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from refrad.commands.explain import changes, explain, format_lines
from refrad.config import load_config
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.site import Site

MODEL = {"model": "gpt-oss-120b", "temperature": 0}


@pytest.fixture
def site(root, monkeypatch, tmp_path):
    """The project's own config over an empty folder of results."""
    monkeypatch.chdir(root)
    config = load_config([root / "config.yaml"])
    return Site(config | {"pathvars": {"results": str(tmp_path / "results")}})


@pytest.fixture
def before():
    return Fingerprint("grounded", 1, {"mode": "expand", "images_per_caption": 4}, {"schema": "aa"}, {"rewrite": MODEL})


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({"version": 2}, "the meaning of its output changed (VERSION 1 -> 2)"),
        ({"options": {"mode": "strict", "images_per_caption": 4}}, "grounded.mode: expand -> strict"),
        ({"options": {"mode": "expand"}}, "grounded.images_per_caption: 4 -> missing"),
        ({"files": {"schema": "bb"}}, "the schema (workflow/anatomy/classes.yaml) has another content (aa -> bb)"),
        (
            {"files": {"schema": "aa", "prompt rewrite.de": "cc"}},
            "the prompt rewrite.de has another content (missing -> cc)",
        ),
        ({"models": {"rewrite": MODEL | {"model": "gemma-3"}}}, "llm.rewrite.model: gpt-oss-120b -> gemma-3"),
    ],
)
def test_changes_name_old_and_new_values(site, before, now, words):
    assert list(changes(before, replace(before, **now), site)) == [words]


def test_changes_are_empty_without_a_difference(site, before):
    assert list(changes(before, before, site)) == []
    assert list(changes(None, before, site)) == []


def job(rule, reason, **wildcards):
    return {"rule": rule, "wildcards": wildcards, "reason": reason}


def result(site, stage, fingerprint, shard="0"):
    path = Path(site.folder("results")) / stage / "demo" / shard
    path.mkdir(parents=True)
    (path / "metrics.json").write_text(json.dumps({"fingerprint": fingerprint.text}))


def test_explain_names_own_changes_and_earlier_stages(site):
    now = Fingerprint.parse(site.fingerprint("structures"))
    result(site, "structures", replace(now, options={**now.options, "minimum_share": 0.5}))
    jobs = [
        job(
            "structures_shard", "Params have changed since last execution: before: x now: y", delivery="demo", shard="0"
        ),
        job("grounded_shard", "Input files updated by another job: results/structures/demo/0/structures.parquet"),
    ]
    lines = list(format_lines(explain(jobs, site)))
    assert lines[:2] == [
        "structures  runs (1 of 2): structures.minimum_share: 0.5 -> 0.2",
        "grounded    runs (1 of 2): follows from structures",
    ]
    assert lines[2].startswith("stay        index, volumes, masks, captions")


def test_explain_names_archive_files_by_role(site):
    reason = f"Updated input files: {site.deliveries['demo'].reports}"
    verdicts = explain([job("captions_shard", reason, delivery="demo", shard="1")], site)
    (line, _) = format_lines(verdicts)
    assert line == "captions    runs (1 of 2): the reports of demo changed"


def test_explain_warns_of_changes_that_snakemake_overlooks(site):
    now = Fingerprint.parse(site.fingerprint("masks"))
    result(site, "masks", replace(now, version=now.version - 1))
    first, second = format_lines(explain([], site))
    assert first.startswith("nothing would run")
    assert "VERSION" in second and second.endswith("--forcerun masks_shard")
