"""Why a stage would run again, in words."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from refrad.commands.explain import changes, explain
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
        ({"options": {"mode": "expand"}}, "grounded.images_per_caption: 4 -> not there"),
        ({"files": {"schema": "bb"}}, "the schema (workflow/anatomy/classes.yaml) says something else (aa -> bb)"),
        (
            {"files": {"schema": "aa", "prompt rewrite.de": "cc"}},
            "the prompt rewrite.de says something else (not there -> cc)",
        ),
        ({"models": {"rewrite": MODEL | {"model": "gemma-3"}}}, "llm.rewrite.model: gpt-oss-120b -> gemma-3"),
    ],
)
def test_each_change_is_said_from_what_to_what(site, before, now, words):
    assert list(changes(before, replace(before, **now), site)) == [words]


def test_what_did_not_change_is_not_said(site, before):
    assert list(changes(before, before, site)) == []
    assert list(changes(None, before, site)) == []


def job(rule, reason, **wildcards):
    return {"rule": rule, "wildcards": wildcards, "reason": reason}


def result(site, stage, fingerprint, shard="0"):
    path = Path(site.place("results")) / stage / "demo" / shard
    path.mkdir(parents=True)
    (path / "metrics.json").write_text(json.dumps({"fingerprint": fingerprint.text}))


def test_a_stage_says_its_own_change_and_the_next_ones_whom_they_follow(site):
    now = Fingerprint.parse(site.fingerprint("structures"))
    result(site, "structures", replace(now, options={**now.options, "minimum_share": 0.5}))
    jobs = [
        job(
            "structures_shard", "Params have changed since last execution: before: x now: y", delivery="demo", shard="0"
        ),
        job("grounded_shard", "Input files updated by another job: results/structures/demo/0/structures.parquet"),
    ]
    lines = list(explain(jobs, site))
    assert lines[:2] == [
        "structures  runs (1 of 2): structures.minimum_share: 0.5 -> 0.2",
        "grounded    runs (1 of 2): follows from structures",
    ]
    assert lines[2].startswith("stay        index, volumes, masks, captions")


def test_a_file_of_the_archive_is_named_by_what_it_is(site):
    reason = f"Updated input files: {site.deliveries['demo'].reports}"
    (line, _) = explain([job("captions_shard", reason, delivery="demo", shard="1")], site)
    assert line == "captions    runs (1 of 2): the reports of demo changed"


def test_what_snakemake_does_not_notice_is_told(site):
    now = Fingerprint.parse(site.fingerprint("masks"))
    result(site, "masks", replace(now, version=now.version - 1))
    first, second = explain([], site)
    assert first.startswith("nothing would run")
    assert "VERSION" in second and second.endswith("--forcerun masks_shard")
