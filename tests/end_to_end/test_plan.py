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


def test_wrong_config_is_one_line_without_a_traceback(project):
    project.configure({"masks": {"varaint": "fast"}})
    run = project.snakemake("all", "--dry-run", check=False)
    assert run.returncode != 0
    own_words = ("Using profile", "Config file")  # of Snakemake, before it reads the Snakefile
    said = [line for line in (run.stdout + run.stderr).splitlines() if line and not line.startswith(own_words)]
    assert said == ["config: masks.varaint: unknown key; did you mean masks.variant?"]
