"""Processes, CPUs, memory and command of the training's job."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string
from tests.factories import tiny_training

from refrad.config import ConfigError, TrainOptions
from refrad.workflow.training_job import TrainingJob, parameters_of


def job(**changes):
    changes.setdefault("grad_accumulation", 24)
    return TrainingJob(TrainOptions.model_validate(tiny_training(**changes)))


def command(job):
    return job.launcher(None, SimpleNamespace(python="/the env/bin/python"))


def test_each_gpu_gets_a_process_and_one_process_needs_no_torchrun():
    assert command(job(gpus=0)) == command(job(gpus=1)) == "'/the env/bin/python' -m"
    assert "torch.distributed.run --standalone --nproc-per-node=4 --max-restarts=0 -m" in command(job(gpus=4))


def test_several_nodes_get_one_step_of_srun_and_an_allocation_of_that_size():
    several = job(nodes=3, gpus=4)
    step, node = command(several).split("'/the env/bin/python' -m ")
    assert step.split()[:4] == ["srun", "--nodes=3", "--ntasks=3", "--ntasks-per-node=1"]
    assert "--kill-on-bad-exit=1" in step
    assert node == "refrad.workflow.slurm_node 3 4"
    assert (several.resources["nodes"], several.resources["tasks"], several.gpus) == (3, 3, 12)
    assert job(nodes=1, gpus=4).resources == {} and job(gpus=4).gpus == 4


class Resources(dict):
    """Resources of a job as the executor of Slurm reads them, by key and by attribute."""

    __getattr__ = dict.__getitem__


def test_executor_of_slurm_requests_so_many_nodes_with_one_task_each():
    several = job(nodes=2, gpus=4, workers=7)
    resources = Resources(several.resources, gpu=several.gpus, gpu_model="", mem_mb=several.memory(None, 1))
    submitted = SimpleNamespace(resources=resources, threads=several.cpus)
    fields = ("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir")
    line = get_submit_command(submitted, dict.fromkeys(fields, "")) + set_gres_string(submitted)
    assert {"--nodes=2", "--ntasks=2", "--cpus-per-task=32", "--gpus=8"} <= set(line.split())
    assert "--mem 52000" in line and "--ntasks-per-gpu" not in line  # 16,000 + 4 x (2,000 + 7 x 1,000), of each node


def test_cpus_of_a_node_are_enough_for_all_processes_and_workers():
    assert job(gpus=0, threads=2, workers=0).cpus == 2
    assert job(gpus=1, threads=2, workers=8).cpus == 9
    assert job(gpus=4, threads=2, workers=8).cpus == 4 * 9
    assert job(nodes=2, gpus=4, threads=12, workers=8).cpus == 4 * 12  # of each node


def test_memory_of_a_node_grows_with_processes_and_the_states_of_the_model(tmp_path):
    # 500,000 parameters in bfloat16: 2 MB as float32, in 3 files of which one is no model
    save_file({"a": torch.zeros(1000, 300, dtype=torch.bfloat16)}, tmp_path / "model-1.safetensors")
    save_file({"b": torch.zeros(200_000, dtype=torch.bfloat16)}, tmp_path / "model-2.safetensors")
    (tmp_path / "tokenizer.json").write_text("{}")
    assert parameters_of(tmp_path) == 500_000
    folder = {"model": str(tmp_path), "workers": 2}
    # 16,000 of the node, 2,000 a process, 1,000 a worker, 2.2 to load, 3 x 2 of a state with the two moments of adamw
    assert job(gpus=1, optimizer="adamw", **folder).memory(None, 1) == 16_000 + 4_000 + 2 + 6 + 1  # rounded up
    assert job(gpus=4, optimizer="adafactor", **folder).memory(None, 2) == 2 * (16_000 + 4 * 4_000 + 8 + 2 + 1)


def test_memory_of_a_folder_that_the_login_node_does_not_have_is_that_of_the_3b_model(tmp_path):
    # 3.033 B parameters: 12,132 MB as float32
    needed = job(gpus=4, workers=8, optimizer="adafactor", model=str(tmp_path / "none")).memory(None, 1)
    assert needed == 16_000 + 4 * (2_000 + 8_000) + 53_381 + 12_132
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes(b"12345678 no header")
    assert parameters_of(tmp_path) == 0


def test_several_nodes_are_refused_without_slurm_and_one_is_not():
    job(nodes=1).refuse_without_slurm(on_slurm=False)
    job(nodes=2).refuse_without_slurm(on_slurm=True)
    with pytest.raises(
        ConfigError, match=r"^config: train.nodes: 2 nodes need Slurm: .*--profile slurm.*, or set it to 1$"
    ):
        job(nodes=2).refuse_without_slurm(on_slurm=False)


def test_batches_of_a_step_must_divide_among_the_processes_of_all_nodes():
    with pytest.raises(ValueError, match="grad_accumulation is 12: no multiple of the 8 processes"):
        job(nodes=2, gpus=4, grad_accumulation=12)
    with pytest.raises(ValueError, match="no multiple of the 2 processes"):
        job(nodes=2, gpus=0, grad_accumulation=1)
    job(nodes=2, gpus=4, grad_accumulation=16)
