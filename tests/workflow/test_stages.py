"""One record a stage, one record a task of a language model: all else follows from them."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from projects import copy_project
from refrad.config import LLM_TASKS, check_config
from refrad.workflow.estimates import ESTIMATED, estimate_tokens
from refrad.workflow.stages import DATASET_SOURCES, SHARD_STAGES, STAGES

MODEL = {"endpoint": "http://one:8000/v1", "model": "wise-1b"}


def rates(root):
    return yaml.safe_load((root / "workflow" / "rates.yaml").read_text(encoding="utf-8"))


def test_stage_order_is_that_of_the_snakefile(root):
    included = re.findall(r'include: "rules/(\w+)\.smk"', (root / "Snakefile").read_text(encoding="utf-8"))
    assert [name for name in included if name not in ("common", "demo")] == list(STAGES)


def test_local_rules_are_those_that_only_collect_files(root):
    lines = (root / "Snakefile").read_text(encoding="utf-8").split("localrules:\n")[1].split("\n\n")[0]
    assert re.findall(r"\w+", lines) == [
        "all",
        "dataset",
        *(name for name, stage in STAGES.items() if stage.per != "run"),
    ]


def test_stage_rules_are_named_as_their_records_say(root):
    for name, stage in STAGES.items():
        rules = re.findall(r"^rule (\w+):", (root / "rules" / f"{name}.smk").read_text(encoding="utf-8"), re.MULTILINE)
        assert rules == list(dict.fromkeys((stage.rule, name)))


def test_stages_before_training_have_rates(root):
    assert {*rates(root)["stages"], "masks"} == set(ESTIMATED)


def test_dataset_sources_are_the_shard_stages_of_version_one():
    # A column of the dataset each: another stage here changes the schema of every shard.
    assert (
        DATASET_SOURCES
        == SHARD_STAGES
        == ("volumes", "masks", "structures", "captions", "mentions", "grounded", "vqa", "shards")
    )


def test_llm_tasks_have_prompts_modules_models_and_rates(root):
    for task in LLM_TASKS:
        assert importlib.util.find_spec(task.module), task.name
        assert all(
            (root / "workflow" / "prompts" / f"{task.name}.{language}.md").is_file() for language in ("de", "en")
        )
        assert task.stage in STAGES
    assert set(rates(root)["tokens"]) == {task.name for task in LLM_TASKS}


def test_plan_counts_the_tokens_of_every_task(root, monkeypatch):
    monkeypatch.chdir(root)
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    config["llm"] |= {task.name: MODEL for task in LLM_TASKS}
    config["captions"] |= {"rewrite": "llm", "translate": "llm", "judge": 5}
    config["mentions"]["finder"], config["vqa"]["writer"], config["evaluate"]["judge"] = "both", "llm", "llm"
    estimates = estimate_tokens({"sentences": 200}, 300, check_config(config), rates(root))
    assert [estimate.task for estimate in estimates] == [task.name for task in LLM_TASKS]
    assert all(estimate.read > 0 and estimate.written > 0 for estimate in estimates)


STAGE = '''"""A stage that counts captions."""

from pathlib import Path

from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

VERSION = 1


def run(*, captions: Path, metrics: Path, fingerprint: Fingerprint) -> None:
    """Count nothing."""
    Tally("captions").write(metrics, fingerprint)
'''
RULE = """rule summaries_shard:
    input:
        captions="<results>/captions/{delivery}/{shard}/captions.parquet",
    output:
        metrics="<results>/summaries/{delivery}/{shard}/metrics.json",
    log:
        "<logs>/summaries/{delivery}/{shard}.log",
    resources:
        python=SITE.python,
    params:
        fingerprint=SITE.fingerprint("summaries"),
        llm=SITE.llm("summaries"),
    message:
        "summaries of {wildcards.delivery}, shard {wildcards.shard}"
    shell:
        "{resources.python:q} -m refrad summaries --captions {input.captions}"
        " --metrics {output.metrics} --fingerprint {params.fingerprint:q}{params.llm} > {log} 2>&1"


rule summaries:
    input:
        SITE.every_shard("<results>/summaries/{delivery}/{shard}/metrics.json"),
"""
OPTIONS = '''

class SummariesOptions(Section):
    """Options of the dummy."""

    writer: Literal["none", "llm"] = "none"
'''
SCRIPT = """
import json, yaml
from refrad.commands.explain import explain
from refrad.config import check_config
from refrad.reporting.wording import STAGES
from refrad.workflow.estimates import estimate_stages, estimate_tokens
from refrad.workflow.jobs import jobs_of
from refrad.workflow.site import Site

config = yaml.safe_load(open("config.yaml"))
site = Site(config)
rates = yaml.safe_load(open("workflow/rates.yaml"))
counts = dict.fromkeys(("files", "slices", "volumes", "CT volumes", "MR volumes", "sentences"), 9)
print(json.dumps({
    "pages": site.pages,
    "metrics": [path for path in site.every_metrics(site.pages) if "summaries" in path],
    "jobs": [[str(job.metrics), str(job.log)] for job in jobs_of(site) if job.stage == "summaries"],
    "fingerprint": site.fingerprint("summaries"),
    "llm": site.llm("summaries")(["demo", "0"], {}),
    "sentence": STAGES["summaries"],
    "plan": [estimate.basis for estimate in estimate_stages(counts, site.config, rates) if estimate.stage == "summaries"],
    "tokens": [estimate.task for estimate in estimate_tokens(counts, 9, site.config, rates)],
    "verdicts": [verdict.stage for verdict in explain([], site)],
}))
"""


def insert(path: Path, before: str, text: str) -> None:
    """Put `text` in front of the first `before` of a file."""
    old = path.read_text(encoding="utf-8")
    assert before in old, (path, before)
    path.write_text(old.replace(before, text + before, 1), encoding="utf-8")


@pytest.fixture
def project(tmp_path):
    """A copy of the project with a stage `summaries` after captions, and a task of a language model of the same name."""
    copy = copy_project(tmp_path)
    package = tmp_path / "src" / "refrad"
    record = '    Stage("summaries", "One summary a report.", per="shard", files=("lexicon",)),\n'
    insert(package / "workflow" / "stages.py", '    Stage(\n        "mentions",', record)
    (package / "stages" / "summaries.py").write_text(STAGE, encoding="utf-8")
    (tmp_path / "rules" / "summaries.smk").write_text(RULE, encoding="utf-8")
    insert(tmp_path / "Snakefile", 'include: "rules/mentions.smk"', 'include: "rules/summaries.smk"\n')
    language = package / "config" / "language.py"
    language.write_text(language.read_text(encoding="utf-8") + OPTIONS, encoding="utf-8")
    insert(package / "config" / "config.py", "    mentions: Mention", "    summaries: SummariesOptions\n")
    insert(package / "config" / "config.py", "__all__", "from refrad.config.language import SummariesOptions\n")
    insert(tmp_path / "config.yaml", "\nmentions:", "\nsummaries:\n  writer: llm\n")
    # the task: prompts, model, record
    for name in ("de", "en"):
        (tmp_path / "workflow" / "prompts" / f"summaries.{name}.md").write_text("Summarise.", encoding="utf-8")
    insert(
        language,
        '    LlmTask("mentions"',
        '    LlmTask("summaries", "summaries", "writer", "refrad.stages.summaries"),\n',
    )
    insert(language, "    mentions: ModelOptions", "    summaries: ModelOptions | None = None\n")
    insert(tmp_path / "config.yaml", "  mentions: null", f"  summaries: {json.dumps(MODEL)}\n")
    insert(
        tmp_path / "workflow" / "rates.yaml",
        "  mentions: {unit: sentences, read",
        '  summaries: {unit: sentences, read: 9, written: 9, basis: "assumed"}\n',
    )
    return copy


def test_new_stage_and_llm_task_need_only_their_records(project):
    environment = os.environ | {"PYTHONPATH": str(project.folder / "src")}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=project.folder, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    facts = json.loads(run.stdout)
    assert facts["pages"].index("summaries") == facts["pages"].index("captions") + 1
    assert facts["metrics"] == [f"<results>/summaries/demo/{shard}/metrics.json" for shard in (0, 1)]
    assert facts["jobs"][1] == ["results/summaries/demo/1/metrics.json", "logs/summaries/demo/1.log"]
    fingerprint = json.loads(facts["fingerprint"])
    assert set(fingerprint["files"]) == {"lexicon", "prompt summaries.de", "prompt summaries.en"}
    assert set(fingerprint["models"]) == {"summaries"} and '"wise-1b"' in facts["llm"]
    assert facts["sentence"] == "One summary a report." and "summaries" in facts["verdicts"]
    assert facts["plan"] == ["unknown: workflow/rates.yaml has no rate"] and facts["tokens"] == ["summaries"]
    described = subprocess.run(
        [sys.executable, "-m", "refrad", "--help"], cwd=project.folder, env=environment, capture_output=True, text=True
    )
    assert "summaries" in described.stdout
    project.configure({})
    assert "summaries_shard" in project.planned("summaries")
