"""What the rules hand to stages that ask language models."""

import copy
import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml

from refrad.config import ConfigError, check_config
from refrad.workflow.site import Site, in_braces

MODEL = {"endpoint": "http://one:8000/v1", "model": "wise-1b"}


@pytest.fixture
def config(root, tmp_path, monkeypatch):
    """A config in which a model rewrites captions, with prompts that may be edited."""
    monkeypatch.chdir(root)
    shutil.copytree(root / "workflow" / "prompts", tmp_path / "prompts")
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    config["llm"] |= {"prompts": str(tmp_path / "prompts"), "rewrite": dict(MODEL)}
    config["captions"]["rewrite"] = "llm"
    return config


def fingerprints(config):
    site = Site(config, downloads=False)
    return {stage: site.fingerprint(stage) for stage in ("captions", "mentions", "vqa")}


def changed(before, after):
    return {stage for stage in before if before[stage] != after[stage]}


def test_a_backend_without_its_model_is_said_before_anything_runs(config):
    config["mentions"]["finder"] = "both"
    with pytest.raises(ConfigError, match=r"config: mentions\.finder: needs a model in llm\.mentions"):
        check_config(config)


def test_a_judge_without_anything_to_judge_is_refused(config):
    config["llm"]["judge"] = dict(MODEL)
    config["captions"] |= {"rewrite": "rules", "judge": 5}
    with pytest.raises(ConfigError, match=r"config: captions\.judge: judges what models rewrite"):
        check_config(config)


def test_schema_shapes_captions_only_where_a_model_writes_them(config, tmp_path):
    config["structures"]["schema"] = str(shutil.copy("workflow/anatomy/classes.yaml", tmp_path))
    rules = copy.deepcopy(config)
    rules["captions"]["rewrite"] = "rules"
    before = fingerprints(config), fingerprints(rules)
    schema = yaml.safe_load((tmp_path / "classes.yaml").read_text(encoding="utf-8"))
    schema["classes"][0]["english"] = "another name"
    (tmp_path / "classes.yaml").write_text(yaml.safe_dump(schema, allow_unicode=True), encoding="utf-8")
    assert changed(before[0], fingerprints(config)) == {"captions", "mentions", "vqa"}
    assert changed(before[1], fingerprints(rules)) == {"mentions", "vqa"}


def test_a_word_in_a_prompt_and_another_model_rerun_just_the_stage_that_asks(config, tmp_path):
    before = fingerprints(config)
    assert '"model":"wise-1b"' in before["captions"]
    for name in ("rewrite.de.md", "mentions.de.md"):  # the second is not used
        prompt = tmp_path / "prompts" / name
        prompt.write_text(prompt.read_text(encoding="utf-8") + "\nSei genau.", encoding="utf-8")
    assert changed(before, fingerprints(config)) == {"captions"}
    other = copy.deepcopy(config)
    other["llm"]["rewrite"]["model"] = "wiser-2b"
    assert changed(fingerprints(config), fingerprints(other)) == {"captions"}


def test_where_and_how_fast_a_model_is_asked_reruns_nothing(config):
    other = copy.deepcopy(config)
    other["llm"]["rewrite"] |= {"endpoint": "http://two:8000/v1", "concurrency": 8, "timeout": 20.0}
    assert changed(fingerprints(config), fingerprints(other)) == set()
    managed, shared = copy.deepcopy(config), copy.deepcopy(config)
    managed["llm"]["rewrite"] |= {"endpoint": "managed", "model": "/models/wise-1b"}
    shared["llm"]["rewrite"] |= {"endpoint": "shared", "model": "/elsewhere/wise-1b"}
    assert changed(fingerprints(managed), fingerprints(shared)) == set()


def test_only_the_stage_that_asks_gets_the_endpoint(config):
    site = Site(config)
    wildcards = ["demo", "0"]  # as Snakemake gives them: values in order
    flag = site.llm("captions")(wildcards, {})
    assert (
        json.loads(flag.removeprefix(" --llm '").removesuffix("'"))["roles"]["rewrite"]["endpoint"] == MODEL["endpoint"]
    )
    assert site.llm("mentions")(wildcards, {}) == ""


def test_how_slurm_is_asked_for_a_shared_server_comes_from_the_profile(config):
    flag = Site(config).llm("captions")(["demo", "0"], {"llm_server": "--partition=gpu --gpus={gpus}"})
    assert json.loads(flag.removeprefix(" --llm '").removesuffix("'"))["submit"] == "--partition=gpu --gpus={gpus}"


def test_the_paths_of_many_shards_are_few_words_and_the_shell_reads_them_all():
    paths = [f"results/my volumes/{delivery}/{shard}/x.json" for delivery in ("a", "b") for shard in range(400)]
    paths += ["results/index/a/x.json", "results/card/x.json", "results/masks/a/7/x.json"]
    words = in_braces(paths)
    assert len(words) < 250
    said = subprocess.run(["bash", "-c", f"printf '%s\\n' {words}"], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == paths


def test_the_rules_load_little_since_every_job_of_a_cluster_reads_them_again(root):
    code = "import sys, yaml; from refrad.workflow.site import Site; Site(yaml.safe_load(open('config.yaml'))); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not {"aiohttp", "numpy", "polars", "pydicom", "torch"} & set(run.stdout.split())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_private_folders_are_made_closed_and_stay_so(config, tmp_path, umask):
    before = os.umask(umask)
    try:
        config["privacy"]["folder"] = str(tmp_path / "secure" / "private")
        site = Site(config)
        site.close_private_folder()
        assert not (tmp_path / "secure").exists(), "a plan makes no folder"
        site.make_private_folder()
        folders = [tmp_path / "secure", tmp_path / "secure" / "private", tmp_path / "secure" / "private" / "demo"]
        assert [path.stat().st_mode & 0o777 for path in folders] == [0o700] * 3
        folders[1].chmod(0o755)
        folders[2].chmod(0o770)
        site.close_private_folder()
        assert [path.stat().st_mode & 0o777 for path in folders] == [0o700] * 3
    finally:
        os.umask(before)


@pytest.mark.parametrize("folder", [".", "..", "/", "private/.."])
def test_private_folder_may_not_hold_the_run(config, folder, root):
    mode = root.stat().st_mode
    config["privacy"]["folder"] = folder
    with pytest.raises(ConfigError, match=r"config: privacy\.folder: holds the whole run: name a folder in it"):
        Site(config).close_private_folder()
    assert root.stat().st_mode == mode
