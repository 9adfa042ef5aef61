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
    assert plan.peak < 300


def test_plan_grows_with_shards_and_its_memory_does_not(scale):
    one, two = scale.real(1, 2), scale.real(2, 2)
    done = [
        Counter(stage for stage in ("structures of", "captions of") for line in run.said.splitlines() if stage in line)
        for run in (one, two)
    ]
    assert done == [{"structures of": 1, "captions of": 1}, {"structures of": 2, "captions of": 2}]
    assert two.peak < 1.1 * one.peak
