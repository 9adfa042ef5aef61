"""`snakemake --profile slurm all`, literally, on a real Slurm, with accidents: see the fixture `disturbed`."""

import json
import re
from collections import Counter

import pytest
import slurm
from safetensors.torch import load_file
from same import differing

from refrad.workflow.job_records import read_records

GPU_STAGES = {"masks_shard", "train", "evaluate"}


@pytest.fixture(scope="module")
def workplace(disturbed):
    return disturbed.workplace


@pytest.fixture(scope="module")
def jobs(workplace):
    return workplace.jobs()


def test_jobs_ran_through_slurm(jobs, workplace):
    done = {job["Rule"] for job in jobs if job["JobState"] == "COMPLETED"}
    assert done == set(workplace.planned)
    assert all(len(workplace.jobs(rule, "COMPLETED")) >= number for rule, number in workplace.planned.items())
    assert workplace.planned["grounded_shard"] == 2


def test_gpu_stages_only_have_a_gpu(workplace):
    for job in workplace.jobs(state="COMPLETED"):
        if job["Rule"] in GPU_STAGES:
            assert job["Partition"] == "gpu" and job["NodeList"] in slurm.GPU_NODES
            assert job["JOB_GRES"] == "gpu:fake:1"
        else:
            assert job["Partition"] == "cpu"
            assert job["JOB_GRES"] == "(null)"
    logs = workplace.folder / "logs"
    for log in logs.rglob("*.log"):
        stage = log.relative_to(logs).parts[0].removesuffix(".log").removeprefix("model_")  # rule model_report
        first = log.read_text().splitlines()[0]
        assert f"{stage}: Slurm job" in first
        if {stage, f"{stage}_shard"} & GPU_STAGES:
            assert first.endswith((", GPU 0", ", GPU 1"))
        else:
            assert first.endswith(", no GPU")


def test_job_out_of_memory_is_retried_with_more(jobs):
    first, *_, last = sorted((job for job in jobs if job["Rule"] == "train"), key=lambda job: int(job["JobId"]))
    assert first["JobState"] in {"FAILED", "OUT_OF_MEMORY", "CANCELLED"}
    assert (first["MinMemoryNode"], last["MinMemoryNode"]) == ("300M", "62.50G")
    assert last["JobState"] == "COMPLETED"


def test_cancelled_job_is_retried(disturbed, jobs):
    (cancelled,) = [job for job in jobs if job["JobId"] == disturbed.cancelled]
    assert cancelled["JobState"] == "CANCELLED"
    assert disturbed.workplace.jobs("captions_shard", "COMPLETED")


def test_orphans_of_a_killed_head_are_cancelled_before_restart(disturbed, jobs):
    # Some may end by themselves, and a last one may be submitted, between the end of the head and the list that recover takes.
    states = Counter(job["JobState"] for job in jobs if job["JobId"] in disturbed.orphans)
    assert states["CANCELLED"] >= 1
    assert set(states) <= {"CANCELLED", "COMPLETED"}
    (cancelled,) = re.findall(r" (\d+) orphaned jobs cancelled", disturbed.recovered)
    assert int(cancelled) >= states["CANCELLED"]


def test_stored_masks_are_not_computed_again(disturbed):
    assert disturbed.kept
    now = disturbed.workplace.labels()
    assert {path: now[path] for path in disturbed.kept} == disturbed.kept
    metrics = (disturbed.workplace.folder / "results/masks").rglob("metrics.json")
    taken = sum(json.loads(path.read_text())["made"].get("labels from the store", 0) for path in metrics)
    assert taken >= len(disturbed.kept)


def test_jobs_have_the_configured_account_and_threads(jobs):
    assert {job["Account"] for job in jobs} == {"default"}
    threads = {job["Rule"]: job["CPUs/Task"] for job in jobs}
    assert (threads["index_delivery"], threads["structures_shard"]) == ("2", "1")


def test_logs_and_pages_are_at_documented_paths(workplace):
    for name in ("demo/first.log", "masks/first/0.log", "grounded/second/0.log", "train/demo.log", "report.log"):
        assert (workplace.folder / "logs" / name).is_file()
    assert list((workplace.folder / ".snakemake/slurm_logs/rule_train").rglob("*.log")), (
        "what Slurm says of the first attempt"
    )
    assert (workplace.folder / "results/report/index.html").is_file()


@pytest.mark.parametrize("folder", ["results", "stores", "private"])
def test_results_equal_those_of_one_undisturbed_machine(workplace, alone, folder):
    assert differing(workplace.folder / folder, alone.folder / folder) == []


def test_two_nodes_train_what_one_process_does(workplace, tmp_path):
    few = {"steps": 4, "tower_pretraining_steps": 0, "grad_accumulation": 2, "compute_dtype": "float32"}
    few |= {"checkpoints": {"steps": None, "seconds": None, "max_share": 1.0, "keep": 1, "weights": "last"}}
    train = ("snakemake", "results/train/demo", "--allowed-rules", "train", "--forcerun", "train", "--profile")
    both = workplace.without("train", at=tmp_path / "both")
    both.configure(train=few | {"nodes": 2})
    both.edit("profiles/slurm/config.yaml", r"\n    gpu: 1\n", "\n    gpu: 2\n")
    both.edit("profiles/slurm/config.yaml", r"\n    mem_mb: 300 .*", "")  # of the first attempt of the fixture
    both.run(*train, "slurm")
    (job,) = both.jobs("train")
    assert (job["JobState"], job["NumNodes"], job["NumTasks"]) == ("COMPLETED", "2", "2")
    assert job["NodeList"] == "n[2-3]"
    log = both.folder / "logs/train/demo.log"
    assert {record.slurm_job for record in read_records(log)} == {job["JobId"]} and len(read_records(log)) == 2
    assert all(f"Slurm job {job['JobId']} on {node}, " in log.read_text() for node in slurm.GPU_NODES)

    single = workplace.without("train", at=tmp_path / "single")
    single.configure(train=few)
    single.run(*train, "profiles/local", "--cores", "1")
    weights, expected = (load_file(of.folder / "results/train/demo/model.safetensors") for of in (both, single))
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        assert value.allclose(weights[name], atol=2e-5), name
