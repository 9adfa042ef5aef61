"""What the pages tell people to type is what works."""

import inspect
import re
import shlex

import pytest
import yaml
from tests.llm.talking import TASKS, answering, llm_line

from refrad.cli import find_function, main, parse
from refrad.config import ConfigError, check_config
from refrad.core import contracts


def blocks(path):
    """The indented code blocks of a page, dedented."""
    found = re.findall(r"(?:^    .*\n?)+", path.read_text(encoding="utf-8"), re.MULTILINE)
    return ["\n".join(line[4:] for line in block.splitlines()) for block in found]


def pages(root):
    return [root / "README.md", *sorted((root / "docs").glob("*.md")), root / "workflow" / "demo_weights" / "README.md"]


def test_links_have_a_target(root):
    for page in pages(root):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_own_data_config_lacks_the_data_only(root):
    (own,) = [
        yaml.safe_load(block) for block in blocks(root / "docs" / "own-data.md") if block.startswith("deliveries")
    ]
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    for key, value in own.items():
        config[key] = config[key] | value if isinstance(value, dict) else value
    with pytest.raises(ConfigError) as error:
        check_config(config)
    lines = str(error.value).splitlines()
    assert all("no such file or folder: /data/" in line for line in lines if "workflow/" not in line)


def test_make_targets_exist(root):
    targets = set(re.findall(r"^([\w-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in pages(root):
        assert set(re.findall(r"`?make ([\w-]+)`?$", page.read_text(encoding="utf-8"), re.MULTILINE)) <= targets


def test_commands_exist_with_their_flags(root):
    """Pages are read by people who type what they see: `refrad <command> --flag`, in code blocks."""
    seen = 0
    for page in pages(root):
        for block in blocks(page):
            for line in block.replace("\\\n", " ").splitlines():
                found = re.match(r"(?:\.venv/bin/)?refrad (\S+)(.*)", line)
                if found:
                    function = find_function(line.split()[1:3] if line.split()[1] == "study" else line.split()[1:2])
                    flags = {one.replace("-", "_") for one in re.findall(r"(?<!\S)--([\w-]+)", found[2])}
                    parameters = {name.rstrip("_") for name in inspect.signature(function).parameters}
                    assert flags <= parameters, f"{page.name}: {line}"
                    seen += 1
    assert seen > 5


def test_downloads_have_an_option_for_each_pattern(root):
    """`hf download` takes a word without an option for the name of a file, and then ignores all patterns."""
    lines = [line for page in pages(root) for block in blocks(page) for line in block.splitlines()]
    commands = [shlex.split(line)[2:] for line in lines if line.startswith("hf download ")]
    assert len(commands) > 5
    for words in commands:
        behind = zip(["", *words[:-1]], words, strict=True)
        free = [word for before, word in behind if before[:2] != "--" and word[:2] != "--"]
        assert len(free) == 1, words  # the repository


def test_scripts_exist(root):
    for page in pages(root):
        for path in re.findall(r"\b(?:benchmarks|tests)/[\w/]+\.(?:py|sh)\b", page.read_text(encoding="utf-8")):
            assert (root / path).is_file(), f"{page.name}: {path}"


def test_example_sentence_runs(root, capsys, monkeypatch):
    monkeypatch.chdir(root)
    (command,) = re.findall(
        r'refrad find-mentions "([^"]+)"', (root / "docs" / "stages.md").read_text(encoding="utf-8")
    )
    assert main(["find-mentions", command]) == 0
    assert '"kidney_left"' in capsys.readouterr().out


def test_stages_page_has_each_stage(root):
    from refrad.workflow.stages import STAGES

    text = (root / "docs" / "stages.md").read_text(encoding="utf-8")
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][
        1 : len(STAGES) + 1
    ] == list(STAGES)


def test_dataset_page_has_the_columns_of_the_files(root):
    from refrad.dataset.columns import COLUMNS

    text = (root / "docs" / "dataset.md").read_text(encoding="utf-8")
    table = text.split("## Columns")[1].split("\n\n")[1].splitlines()[2:]
    assert table == [f"| `{one.name}` | {one.meaning} |" for one in COLUMNS]


def test_training_page_configs_are_valid(root, monkeypatch):
    monkeypatch.chdir(root)
    public, real, several, nodes = (
        yaml.safe_load(block)
        for page in ("training", "multi-gpu")
        for block in blocks(root / "docs" / f"{page}.md")
        if block.startswith("train:")
    )
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    config["train"] |= public["train"] | real["train"] | several["train"] | nodes["train"]
    (tower,) = [yaml.safe_load(block) for block in blocks(root / "docs" / "training.md") if block.startswith("adapt:")]
    config["adapt"] |= tower["adapt"]
    options = check_config(config, downloads=False).train
    assert options.grad_accumulation * options.batch == 288 and (options.nodes, options.gpus) == (3, 4)


def test_small_gpus_page_configs_are_valid(root, monkeypatch):
    monkeypatch.chdir(root)
    recipes = [yaml.safe_load(block) for block in blocks(root / "docs" / "small-gpus.md") if block.startswith("train:")]
    parts = []
    for recipe in recipes:
        config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
        options = check_config(config | {"train": config["train"] | recipe["train"]}, downloads=False).train
        assert options.frozen_dtype == "bfloat16" and options.gradient_checkpointing
        assert options.batch * options.grad_accumulation == 288  # samples of a step, as in the paper
        parts.append((options.lora.rank if options.lora else None, options.trained[0]))
    assert parts == [(16, "tokens"), (None, "attention"), (None, "language")]


def test_inference_page_commands_can_be_parsed(root):
    commands = [
        line
        for block in blocks(root / "docs" / "inference.md")
        for line in block.splitlines()
        if line.startswith("refrad predict")
    ]
    assert len(commands) == 6
    for command in commands:
        values = parse(shlex.split(command)[1:]).arguments.arguments
        assert str(values["checkpoint"]) == "results/train/demo" and values["image"].name


def test_language_model_page_configs_are_valid(root, monkeypatch):
    monkeypatch.chdir(root)
    found = [yaml.safe_load(block) for block in blocks(root / "docs" / "llm.md") if block.startswith("llm:")]
    for own in found:
        config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
        check_config(config | {"llm": config["llm"] | own["llm"]})
    assert len(found) == 3


def test_language_model_page_code_runs(root, tmp_path):
    (code,) = [block for block in blocks(root / "docs" / "llm.md") if block.startswith("from refrad.llm")]
    for language in ("de", "en"):
        (tmp_path / f"verdict.{language}.md").write_text("Score the sentence.", encoding="utf-8")
    with answering(lambda _: {"score": 3}) as server:
        given = {"folder": tmp_path, "llm": llm_line(server, root, tmp_path, TASKS), "texts": ["One.", "Two."]}
        exec(code, given)
    assert [reply.answer.score for reply in given["replies"]] == [3, 3]


def test_files_page_has_each_column_of_each_table(root):
    page = (root / "docs" / "files.md").read_text(encoding="utf-8")
    for name in contracts.__all__:
        if name == "Table":
            continue
        contract = getattr(contracts, name)
        section = page.split(f"## {contract.__doc__.splitlines()[0].split(':')[0].removeprefix('Stage ')}: ")
        assert len(section) > 1, name
        rows = [row for one in section[1:] for row in one.split("\n## ")[0].splitlines()]
        for column, field in contract.to_schema().columns.items():
            kind = str(field.dtype) + (", or null" if field.nullable else "")
            allowed = [check.statistics["allowed_values"] for check in field.checks if check.name == "isin"]
            meaning = "; ".join(filter(None, [field.description, *(", ".join(values) for values in allowed)]))
            assert f"| `{column}` | {kind} | {meaning} |" in rows, f"{name}.{column}"
