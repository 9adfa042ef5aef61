"""What a user reads before anything runs."""

import subprocess
import sys

STAGES = ["index", "volumes", "masks", "structures", "captions", "mentions", "grounded", "vqa", "shards", "train"]


def test_dry_run_lists_the_stages(project):
    plan = project.planned("all")
    assert plan == {
        "demo",
        "index_delivery",
        "copies_delivery",
        "card",
        "train",
        "evaluate",
        "report",
        "model_report",
    } | {f"{stage}_shard" for stage in STAGES[1:-1]}


def test_vision_tower_is_adapted_if_configured(project):
    project.configure({"adapt": {"steps": 3}})
    assert "adapt" in project.planned("all")


def test_cluster_profile_resolves_from_the_root(project):
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--dry-run", "--quiet", "all", "all"]
    run = subprocess.run(command, cwd=project.folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_training_on_two_nodes_starts_torchrun_on_both(project):
    project.configure({"train": {"nodes": 2, "gpus": 4, "grad_accumulation": 16}})
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--dry-run", "--printshellcmds", "train"]
    command += ["--configfile", "config.yaml", "own.yaml"]
    run = subprocess.run(command, cwd=project.folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (line,) = [line for line in run.stdout.splitlines() if "refrad train --images" in line]
    assert "srun --nodes=2 --ntasks=2 " in line and "-m refrad.workflow.slurm_node 2 4 refrad train" in line


def test_several_nodes_without_slurm_are_refused_before_the_first_job(project):
    project.configure({"train": {"nodes": 2, "grad_accumulation": 2}})
    run = project.snakemake("all", check=False)
    assert run.returncode != 0
    said = [line for line in (run.stdout + run.stderr).splitlines() if "train.nodes" in line]
    assert said == ["config: train.nodes: 2 nodes need Slurm: run `snakemake --profile slurm all`, or set it to 1"]
    assert not (project.folder / "demo").exists() and not (project.folder / "results").exists()
    assert "Traceback" not in run.stderr


def test_wrong_config_is_one_line_without_a_traceback(project):
    project.configure({"masks": {"varaint": "fast"}})
    run = project.snakemake("all", "--dry-run", check=False)
    assert run.returncode != 0
    own_words = ("Using profile", "Config file")  # of Snakemake, before it reads the Snakefile
    said = [line for line in (run.stdout + run.stderr).splitlines() if line and not line.startswith(own_words)]
    assert said == ["config: masks.varaint: unknown key; did you mean masks.variant?"]
