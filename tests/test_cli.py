"""The command line: help, unknown commands, versions, and light imports."""

import subprocess
import sys

import pytest

from refrad.cli import COMMANDS, main
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.stages import STAGES


def test_help_names_every_stage_and_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for stage in STAGES:
        line = next(line for line in text.splitlines() if line.startswith(f"  {stage} "))
        assert len(line.split()) > 2, f"{stage} does not say what it does"
    assert all(command in text for command in COMMANDS)


def test_unknown_command_fails(capsys):
    assert main(["no-such-thing"]) == 2
    assert "usage: refrad" in capsys.readouterr().out


def test_workflow_of_another_version_is_refused(tmp_path, capsys):
    foreign = Fingerprint("structures", 999, {}, {}).text
    paths = ["slices", "volumes", "masks", "mask-store", "schema", "norms", "structures", "flags", "metrics"]
    arguments = [part for name in paths for part in (f"--{name}", str(tmp_path / name))]
    assert main(["structures", *arguments, "--fingerprint", foreign]) == 1
    assert "asks for structures version 999" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["index", "volumes", "structures", "captions", "grounded", "shards"])
def test_light_stages_start_without_the_heavy_stacks(stage):
    code = (
        f"import sys, refrad.stages.{stage}\n"
        "heavy = {'torch', 'transformers', 'totalsegmentator', 'matplotlib', 'snakemake'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
