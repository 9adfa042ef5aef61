"""The command line: help, exit statuses and one-line errors."""

import json
import os
import subprocess
import sys
import tomllib

import pytest

from refrad.cli import COMMANDS, find_function, main, parse
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.stages import STAGES

HEAVY = (
    "torch",
    "transformers",
    "totalsegmentator",
    "matplotlib",
    "snakemake",
    "polars",
    "pandera",
    "numpy",
    "pydantic",
)
STRUCTURES = ["slices", "volumes", "masks", "mask-store", "schema", "norms", "structures", "flags", "metrics"]


def test_help_names_every_stage_and_command(capsys):
    assert main(["--help"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    sentences = {words[1]: words[2:-1] for words in lines if len(words) > 3}
    for name in (*STAGES, *(command.split()[0] for command in COMMANDS)):
        assert len(sentences[name]) > 2, f"{name} lacks a sentence"


def test_help_loads_no_command():
    code = f"import sys; from refrad.cli import main; main(['--help']); print({HEAVY} & sys.modules.keys())"
    code = code.replace(str(HEAVY), str(set(HEAVY)))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "set()"


def test_help_of_a_command_names_positions_and_types(capsys):
    assert main(["plan", "--help"]) == 0
    text = capsys.readouterr().out
    assert "CONFIG (PATH...)" in text and "--measured PATH" in text and "config files, later ones over earlier" in text


def test_version_is_that_of_the_package(capsys, root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{project['version']}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["structurez"], 'refrad: Unknown command "structurez". Did you mean "structures"?'),
        (["study", "exprt"], 'refrad study: Unknown command "exprt". Did you mean "export"?'),
        (["plan", "a", "--measure", "b"], "refrad plan: Unknown option: --measure. Did you mean --measured?"),
        (["budget", "--ct", "1"], "--mr requires an argument"),
        (["budget", "--ct", "many", "--mr", "2"], 'Invalid value for --ct: unable to convert "many" into int.'),
        (["plan", "--config"], "--config requires at least 1 element"),
        (["budget", "--ct", "1", "--mr", "2", "3"], "3"),
    ],
    ids=["command", "subcommand", "unknown flag", "missing flag", "type", "empty list", "left over"],
)
def test_wrong_command_lines_are_answered_in_one_line(words, message, capsys):
    assert main(words) == 2
    output = capsys.readouterr()
    assert message in output.err and output.err.count("\n") == 1 and output.out == ""


def test_flags_of_a_stage_are_parsed_by_their_types():
    fingerprint = Fingerprint("report", 3, {"gallery": 60}, {"schema": "aa"})
    words = [
        "report",
        "--metrics",
        "a",
        "b",
        "c",
        "--images",
        "d",
        "--volumes",
        "t",
        "--masks",
        "u",
        "--schema",
        "s",
        "--volume-store",
        "v",
    ]
    words += ["--mask-store", "m", "--pages", "p", "--fingerprint", fingerprint.text]
    call = parse(words)
    assert (call.name, call.function) == ("report", find_function(["report"]))
    values = call.arguments.arguments
    assert [str(path) for path in values["files"].metrics] == ["a", "b", "c"] and str(values["pages"]) == "p"
    assert values["fingerprint"] == fingerprint and values["files"].adaptation is None


def test_workflow_of_another_version_is_refused(tmp_path, capsys):
    foreign = Fingerprint("structures", 999, {}, {}).text
    arguments = [part for name in STRUCTURES for part in (f"--{name}", str(tmp_path / name))]
    assert main(["structures", *arguments, "--fingerprint", foreign]) == 1
    assert "needs structures version 999" in capsys.readouterr().err


def test_wrong_fingerprint_is_refused(tmp_path, capsys):
    arguments = [part for name in STRUCTURES for part in (f"--{name}", str(tmp_path / name))]
    assert main(["structures", *arguments, "--fingerprint", "{}"]) == 2
    assert "not a fingerprint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "name"),
    [(["mentions", "--text", "Zyste der linken Niere"], "find-mentions"), (["evaluate", "a", "--truth", "b"], "score")],
)
def test_former_commands_work_and_name_the_new_ones(words, name, capsys, root, monkeypatch):
    monkeypatch.chdir(root)
    main(words)
    assert f"is now `refrad {name}`; the next release drops the old name" in capsys.readouterr().err


@pytest.mark.parametrize("form", [["--place", "{}"], ["--place={}"]])
def test_former_flag_of_serve_works_and_names_the_new_one(form, capsys, tmp_path):
    assert main(["serve", *(word.format(tmp_path) for word in form)]) == 1, "the folder has no model"
    assert (tmp_path / "users").is_dir()
    assert "`refrad serve --place` is now `refrad serve --folder`" in capsys.readouterr().err


def test_status_plan_and_explain_print_json():
    for command in ("status", "plan", "explain", "predict"):
        assert "json" in find_function([command]).__annotations__, command


def test_status_in_json_counts_the_jobs(root, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(root)
    (tmp_path / "own.yaml").write_text(f"pathvars: {{results: {tmp_path}/results, logs: {tmp_path}/logs}}\n")
    assert main(["status", "config.yaml", str(tmp_path / "own.yaml"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report) == ["stages", "running", "failed", "stopped", "page", "left_out"]
    assert report["stages"]["index"]["waiting"] == 1


@pytest.mark.parametrize("stage", ["index", "volumes", "structures", "captions", "grounded", "shards"])
def test_light_stages_start_without_the_heavy_stacks(stage):
    code = (
        f"import sys, refrad.stages.{stage}\n"
        "heavy = {'torch', 'transformers', 'totalsegmentator', 'matplotlib', 'snakemake'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_command_is_answered_without_heavy_imports():
    code = "import sys; from refrad.cli import main; main(['plann']); print({'torch', 'polars'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'Did you mean "plan"?' in run.stderr
    assert run.stdout == "set()\n"


def test_shell_completion_offers_commands(tmp_path):
    command = [sys.executable, "-m", "refrad", "--install-completion", "--shell", "bash"]
    subprocess.run(command, env=os.environ | {"HOME": str(tmp_path)}, check=True, capture_output=True)
    script = tmp_path / ".local" / "share" / "bash-completion" / "completions" / "refrad"
    completion = f'source "{script}"; COMP_WORDS=(refrad mas); COMP_CWORD=1; _refrad; echo "${{COMPREPLY[@]}}"'
    answer = subprocess.run(["bash", "-c", completion], check=True, capture_output=True, text=True)
    assert answer.stdout.split() == ["masks"]


def test_reader_that_closes_the_pipe_ends_a_command_quietly(root):
    command = [sys.executable, "-m", "refrad", "budget", "--ct", "1", "--mr", "1"]
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(command, cwd=root, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (result.returncode, result.stderr) == (1, "")


@pytest.mark.parametrize(
    "words", [["find-mentions", "The left kidney is normal."], ["budget", "--ct", "1", "--mr", "1"]]
)
def test_defaults_of_commands_work_in_any_folder(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    assert capsys.readouterr().out and not list(tmp_path.iterdir())
