"""The recipes of workflow/recipes: a site names its data alone, and what is missing of the models is a line each before the run."""

import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from tests.factories.model_folders import RECIPES, paths_of_recipe, write_site_of_recipe
from tests.factories.public_sets.ct_rate import make_ct_rate

from projects import copy_project
from refrad.cli import main
from refrad.config import Config, ConfigError, check_config, load_config
from refrad.config.downloads import PUBLISHERS
from refrad.workflow.estimates import estimate_stages, estimate_tokens, expected_images
from refrad.workflow.rates import load_rates

STAGES = {"index_delivery", "volumes_shard", "masks_shard", "structures_shard", "captions_shard", "mentions_shard"}
STAGES |= {
    "copies_delivery",
    "grounded_shard",
    "vqa_shard",
    "shards_shard",
    "card",
    "train",
    "evaluate",
    "report",
    "model_report",
}


def file_of(recipe: str) -> Path:
    return Path("workflow", "recipes", f"{recipe}.yaml")


@pytest.fixture(params=RECIPES)
def recipe(request, root, tmp_path, monkeypatch):
    """The name of a recipe, in a folder with the files of a site that has all that the recipe names."""
    monkeypatch.chdir(tmp_path)
    for name in ("workflow", "config.yaml"):
        (tmp_path / name).symlink_to(root / name)
    write_site_of_recipe(tmp_path, yaml.safe_load((root / file_of(request.param)).read_text(encoding="utf-8")))
    return request.param


def config_of(recipe: str) -> Config:
    return check_config(load_config([Path("config.yaml"), file_of(recipe), Path("site.yaml")]))


def lines_without(recipe: str, path: str) -> list[str]:
    """The findings about a config where one path of the recipe is not there."""
    shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
    with pytest.raises(ConfigError) as caught:
        config_of(recipe)
    return str(caught.value).splitlines()


def test_all_recipes_are_tested(root):
    assert {path.stem for path in (root / "workflow" / "recipes").iterdir()} == set(RECIPES)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_dry_run_by_the_command_of_the_recipe_plans_every_stage(name, root, tmp_path):
    project = copy_project(tmp_path)
    text = (root / file_of(name)).read_text(encoding="utf-8")
    write_site_of_recipe(tmp_path, yaml.safe_load(text))
    (command,) = [line[1:].split() for line in text.splitlines() if line.startswith("#   snakemake ")]
    assert command[0] == "snakemake" and command[-2:] == ["--", "all"]
    dry = [sys.executable, "-m", *command[:-2], "--dry-run", *command[-2:]]
    run = subprocess.run(dry, cwd=project.folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    planned = {line.split()[0] for line in run.stdout.splitlines() if line.strip()}
    assert planned >= STAGES and ("adapt" in planned) == (name == "refrad2d")


def test_check_of_a_recipe_opens_no_connection(recipe, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert config_of(recipe).train.name == recipe


def test_all_models_serve_the_tasks_that_the_paper_gives_them(recipe):
    config = config_of(recipe)
    llm = config.llm
    assert {Path(role.model).name[:7] for role in (llm.rewrite, llm.mentions, llm.judge)} == {"gpt-oss"}
    assert {Path(role.model).name[:7] for role in (llm.translate, llm.qa, llm.score)} == {"gemma-3"}
    assert (config.captions.rewrite, config.captions.translate, config.vqa.writer) == ("llm", "llm", "llm")
    assert (config.mentions.finder, config.evaluate.judge) == ("both", "llm")


def test_a_step_has_the_samples_of_the_paper(recipe):
    train = config_of(recipe).train
    assert train.batch * train.grad_accumulation == 288
    assert (train.warmup_ratio, train.weight_decay, train.max_grad_norm) == (0.1, 0.01, 1.0)
    assert train.tasks.locate == 0 and min(train.tasks.detect, train.tasks.vqa, train.tasks.caption) > 0


def test_training_of_the_paper_has_six_epochs_of_its_pairs(root):
    train = yaml.safe_load((root / file_of("refrad2d")).read_text(encoding="utf-8"))["train"]
    pairs = 760_409 + 256_197  # of CT and MR, as published
    assert 0 <= train["steps"] - 6 * pairs / 288 < 10


def test_each_missing_model_is_one_line(root, recipe):
    page = (root / "docs" / "recipes.md").read_text(encoding="utf-8")
    for path in sorted(paths_of_recipe(yaml.safe_load(file_of(recipe).read_text(encoding="utf-8")))):
        whole = Path(f"{path}.whole")
        shutil.copytree(path, whole) if Path(path).is_dir() else shutil.copy(path, whole)
        lines = lines_without(recipe, path)
        assert len(lines) == 1 and lines[0].startswith("config: ") and len(lines[0]) < 200, lines
        assert path in lines[0] or path == "models/encodings"
        _, hub, source = lines[0].partition("hf download ")
        assert not hub or f"    {hub}{source}\n" in page
        whole.rename(path)
    config_of(recipe)


def test_missing_model_is_named_with_the_command_that_downloads_it(recipe):
    folder = config_of(recipe).llm.mentions.model
    (line,) = lines_without(recipe, folder)
    owner = f"openai/{Path(folder).name}"
    assert line == (
        f"config: llm.rewrite.model and 2 more: no such folder: {folder}: hf download {owner} --local-dir {folder}"
        ' --exclude "original/*" --exclude "metal/*"'  # the same weights in two other forms
    )


VOLUMES, SLICES, SENTENCES = 10_000, 2_800_000, 100_000  # usual CT with ten sentences each


def cost_of(recipe: str) -> list[str]:
    """The rows of the page about hours, disk and tokens, as refrad plan estimates them."""
    values = load_config([Path("config.yaml"), file_of(recipe), Path("site.yaml")])
    values["deliveries"][0]["shards"] = VOLUMES // 256
    config, rates = check_config(values), load_rates(Path("workflow", "rates.yaml"))
    counts = {"files": SLICES, "slices": SLICES, "volumes": VOLUMES, "CT volumes": VOLUMES, "MR volumes": 0}
    counts |= {"patients": VOLUMES, "studies": VOLUMES, "reports": VOLUMES, "sentences": SENTENCES}
    rows = []
    for stage in estimate_stages(counts, config, rates):
        hours, size = (stage.seconds or 0) / 3600, (stage.size or 0) / 1e9
        if hours >= 0.1:
            rows.append(
                f"| {stage.stage} | {stage.amount:,} {stage.unit} | {hours:.1f} {'GPU' if stage.gpu else 'core'} | {size:.1f} |"
            )
    for task in estimate_tokens(counts, max(expected_images(counts, rates).values()), config, rates):
        rows.append(f"| {task.task} | {task.read / 1e6:.1f} | {task.written / 1e6:.1f} |")
    return rows


def test_page_has_the_hours_of_plan(root, recipe):
    page = (root / "docs" / "recipes.md").read_text(encoding="utf-8").splitlines()
    missing = [row for row in cost_of(recipe) if row not in page]
    assert recipe != "refrad2d" or not missing, "\n".join(missing)


def test_page_has_each_download(root):
    page = (root / "docs" / "recipes.md").read_text(encoding="utf-8")
    for name in RECIPES:
        for path in paths_of_recipe(yaml.safe_load((root / file_of(name)).read_text(encoding="utf-8"))):
            folder = path.removesuffix("/bin/python")
            assert f"| `{folder}` |" in page or folder.startswith("public/"), folder
            commands = [line for line in page.splitlines() if line.startswith("    ") and folder in line]
            assert commands, f"no command on the page gets {folder}"
            publisher = PUBLISHERS.get(Path(folder).name)
            hub = f"hf download {publisher}/{Path(folder).name} --local-dir {folder}"
            assert publisher is None or commands[0].strip().startswith(hub), folder


def test_site_of_the_page_adds_its_data_alone(root, recipe):
    page = (root / "docs" / "recipes.md").read_text(encoding="utf-8")
    block = page.split("    deliveries:")[1].split("\n\n")[0]
    Path("site.yaml").write_text(textwrap.dedent("    deliveries:" + block), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        config_of(recipe)
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "deliveries.0.dicom",
        "deliveries.0.reports",
    ]


@pytest.mark.parametrize(("masks", "segmenter"), [(True, "precomputed"), (False, "totalsegmentator")])
def test_public_set_repeats_nothing_of_a_recipe(recipe, tmp_path, masks, segmenter, capsys):
    root = make_ct_rate(tmp_path / "CT-RATE", masks=masks)
    below = ["config.yaml", str(file_of(recipe))]
    Path("site.yaml").unlink()
    assert main(["public-set", "ct-rate", "--root", str(root), "--out", "site.yaml", "--config", *below]) == 0
    command = file_of(recipe).read_text(encoding="utf-8").splitlines()[1].removeprefix("#   ")
    assert capsys.readouterr().out.splitlines()[-1] == f"next: {command}"
    alone, both = load_config([Path(path) for path in below]), config_of(recipe)
    assert both.masks.segmenter == segmenter
    changed = {
        section: {key for key, value in values.items() if value != alone[section][key]}
        for section, values in load_config([*map(Path, below), Path("site.yaml")]).items()
        if isinstance(values, dict) and values != alone[section]
    }
    implausible = {"structures": {"implausible"}, "masks": {"segmenter"}} if masks else {}
    assert changed == {"privacy": {"key"}, "card": {"title", "creator", "terms"}, "train": {"name"}} | implausible
