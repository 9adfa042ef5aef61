"""An archive of 217,388 volumes: the plan of it, and all its jobs through the head process, fit any login node."""

import importlib.util
from collections import Counter

import pytest

from refrad.workflow.stages import SHARD_STAGES

pytestmark = pytest.mark.slow
SHARDS = 430


@pytest.fixture(scope="module")
def scale(root):
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("scale", root / "benchmarks" / "scale.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_archive_plan_is_complete_and_small(scale, tmp_path):
    project = scale.copy(tmp_path)
    plan = scale.plan(project, scale.archive(project))
    jobs = Counter(line.split()[0] for line in plan.said.splitlines())
    assert {stage: jobs[f"{stage}_shard"] for stage in SHARD_STAGES} == dict.fromkeys(SHARD_STAGES, SHARDS)
    assert jobs["index_delivery"] == scale.DELIVERIES
    assert plan.peak < 350  # MB; the dataset has three files a shard, and two rules read it for the pages


def test_archive_runs_through_the_real_stages(scale):
    run = scale.real(1, 2)
    assert all(run.said.count(f"{stage} of archive") == 1 for stage in ("structures", "captions"))


def test_jobs_grow_with_shards_and_memory_of_the_head_does_not(scale, tmp_path):
    runs = {}
    for shards in (1, 8):
        (tmp_path / str(shards)).mkdir()
        project = scale.copy(tmp_path / str(shards))
        scale.write_archive(project / "archive", 1)
        runs[shards] = scale.with_stand_in(project, [scale.delivery("archive", project / "archive", shards)])
    for stage in SHARD_STAGES:
        tables = [len(list((tmp_path / str(shards) / "results" / stage).rglob("metrics.json"))) for shards in runs]
        assert tables == list(runs), stage
    assert runs[8].peak < 1.1 * runs[1].peak
