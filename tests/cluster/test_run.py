"""`snakemake --profile slurm all`, literally, on a real Slurm, with accidents: see the fixture `disturbed`."""

import json

import pytest
import slurm
from same import differing

GPU_STAGES = {"masks_shard", "train", "evaluate"}


@pytest.fixture(scope="module")
def workplace(disturbed):
    return disturbed.workplace


@pytest.fixture(scope="module")
def jobs(workplace):
    return workplace.jobs()


def test_every_job_ran_through_slurm(jobs, workplace):
    done = {job["Rule"] for job in jobs if job["JobState"] == "COMPLETED"}
    assert done == set(workplace.planned)
    assert all(len(workplace.jobs(rule, "COMPLETED")) >= number for rule, number in workplace.planned.items())
    assert workplace.planned["grounded_shard"] == 2


def test_gpu_stages_and_only_they_get_a_gpu_and_see_it(workplace):
    for job in workplace.jobs(state="COMPLETED"):
        if job["Rule"] in GPU_STAGES:
            assert job["Partition"] == "gpu" and job["NodeList"] in slurm.GPU_NODES
            assert job["JOB_GRES"] == "gpu:fake:1"
        else:
            assert job["Partition"] == "cpu"
            assert job["JOB_GRES"] == "(null)"
    logs = workplace.folder / "logs"
    for log in logs.rglob("*.log"):
        stage = log.relative_to(logs).parts[0].removesuffix(".log")
        first = log.read_text().splitlines()[0]
        assert f"{stage}: Slurm job" in first
        if {stage, f"{stage}_shard"} & GPU_STAGES:
            assert first.endswith((", GPU 0", ", GPU 1"))
        else:
            assert first.endswith(", no GPU")


def test_a_job_that_takes_too_much_memory_is_tried_again_with_more(jobs):
    first, *_, last = sorted((job for job in jobs if job["Rule"] == "train"), key=lambda job: int(job["JobId"]))
    assert first["JobState"] in {"FAILED", "OUT_OF_MEMORY", "CANCELLED"}
    assert (first["MinMemoryNode"], last["MinMemoryNode"]) == ("300M", "62.50G")
    assert last["JobState"] == "COMPLETED"


def test_a_cancelled_job_is_tried_again(disturbed, jobs):
    (cancelled,) = [job for job in jobs if job["JobId"] == disturbed.cancelled]
    assert cancelled["JobState"] == "CANCELLED"
    assert disturbed.workplace.jobs("captions_shard", "COMPLETED")


def test_orphans_of_a_killed_head_are_cancelled_before_it_starts_again(disturbed, jobs):
    assert disturbed.orphans
    assert f"{len(disturbed.orphans)} orphaned jobs cancelled" in disturbed.recovered
    assert {job["JobState"] for job in jobs if job["JobId"] in disturbed.orphans} == {"CANCELLED"}


def test_nothing_is_computed_twice_that_the_store_held(disturbed):
    assert disturbed.kept
    now = disturbed.workplace.labels()
    assert {path: now[path] for path in disturbed.kept} == disturbed.kept
    metrics = (disturbed.workplace.folder / "results/masks").rglob("metrics.json")
    taken = sum(json.loads(path.read_text())["made"].get("labels from the store", 0) for path in metrics)
    assert taken >= len(disturbed.kept)


def test_the_account_is_the_configured_one_and_rules_keep_their_threads(jobs):
    assert {job["Account"] for job in jobs} == {"default"}
    threads = {job["Rule"]: job["CPUs/Task"] for job in jobs}
    assert (threads["index_delivery"], threads["structures_shard"]) == ("2", "1")


def test_logs_and_pages_are_where_the_docs_say(workplace):
    for name in ("demo/first.log", "masks/first/0.log", "grounded/second/0.log", "train/demo.log", "report.log"):
        assert (workplace.folder / "logs" / name).is_file()
    assert list((workplace.folder / ".snakemake/slurm_logs/rule_train").rglob("*.log")), (
        "what Slurm says of the first attempt"
    )
    assert (workplace.folder / "results/report/index.html").is_file()


@pytest.mark.parametrize("folder", ["results", "stores", "private"])
def test_it_comes_to_the_bytes_of_an_undisturbed_run_on_one_machine(workplace, alone, folder):
    assert differing(workplace.folder / folder, alone.folder / folder) == []
