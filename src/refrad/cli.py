"""The command line: `refrad <stage> --input ... --output ... --fingerprint ...`, and a few commands for people.

A stage's flags are the keyword parameters of its `run` function, so rule, command and function cannot drift apart.
"""

import argparse
import ast
import errno
import importlib
import inspect
import itertools
import logging
import os
import sys
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from refrad.workflow.fingerprint import STAGES_FOLDER, Fingerprint, stage_version
from refrad.workflow.stages import STAGES

__all__ = ["COMMANDS", "function_of", "main", "split_command"]

log = logging.getLogger(__name__)

FULL = {errno.ENOSPC, errno.EDQUOT}

COMMANDS = {
    "demo": ("refrad.demo.cohort", "write a made-up delivery: DICOM, reports, references"),
    "predict": ("refrad.commands.predict", "ask a trained model about an image, or about all of a folder"),
    "plan": ("refrad.commands.plan", "say what a run will take, before it starts"),
    "explain": ("refrad.commands.explain", "say which stages would run again, and why"),
    "recover": ("refrad.commands.recover", "make a run that died fit to start again"),
    "serve": ("refrad.commands.serve", "serve a language model to all jobs that share it"),
    "status": ("refrad.commands.status", "say what of a run is done, failed or waiting, and write its pages"),
    "audit": ("refrad.commands.audit", "a sheet of random triplets to tick, and the precision from what comes back"),
    "export": (
        "refrad.commands.export",
        "the dataset as hf, coco, llava, webdataset, or in the layout of the paper's code",
    ),
    "public": ("refrad.commands.public", "SLAKE or VQA-RAD in the format of the shards"),
    "export-dicom": (
        "refrad.commands.export_dicom",
        "write the accepted images as de-identified DICOM (PS3.15 basic profile)",
    ),
    "budget": ("refrad.commands.budget", "GPU hours and disk that masks take, before any run"),
    "check-masks": ("refrad.commands.check_masks", "say which label volumes do not look like a human being"),
    "export-masks": ("refrad.commands.export_masks", "masks as DICOM segmentations, or as one NIfTI file a class"),
    "study export": ("refrad.commands.study:export", "pairs for human raters, blinded, to validate LLMScore"),
    "study read": ("refrad.commands.study:read", "their ratings: agreement, and correlation with LLMScore"),
    "score-mentions": ("refrad.commands.score_mentions", "score the mention finder on labelled sentences"),
    "score-scrub": ("refrad.commands.score_scrub", "measure the removal of identifiers on labelled letters"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage or command; the exit status is 0, or 1 with one line on stderr if the input is at fault."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Threads that wait for each other spin for moments only: on a busy machine endless spinning made training 8 times slower,
    # and on an idle one sleeping at once makes it half as fast.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    name, arguments = split_command(arguments)
    function = function_of(name, arguments)
    if function is None:
        print(_help())
        return 0 if name in {"", "-h", "--help"} else 2
    parsed = _parser(name, function).parse_args(_with_flag(arguments, function))
    _say_where(name)
    try:
        _check_version(name, vars(parsed).get("fingerprint"))
        function(**vars(parsed))
    except (ValueError, FileNotFoundError) as error:
        print(f"refrad {name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in FULL:
            raise
        print(f"refrad {name}: the disk or the quota is full: free some space and start again", file=sys.stderr)
        return 1
    return 0


def split_command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The command, of one word or of two such as `study export`, and its own arguments."""
    words = 2 if " ".join(arguments[:2]) in COMMANDS else 1
    return " ".join(arguments[:words]), list(arguments[words:])


def function_of(name: str, arguments: Sequence[str]) -> Callable[..., None] | None:
    """The function behind a stage or command, or None if there is none of that name."""
    if name == "mentions" and "--text" in arguments:
        module, attribute = "refrad.commands.find_mentions", "main"
    elif name == "evaluate" and "--fingerprint" not in arguments:  # by a person, not by the rule
        module, attribute = "refrad.commands.score", "main"
    elif name in STAGES:
        module, attribute = f"refrad.stages.{name}", "run"
    elif name in COMMANDS:
        module, _, attribute = COMMANDS[name][0].partition(":")
    else:
        return None
    function: Callable[..., None] = getattr(importlib.import_module(module), attribute or "main")
    return function


def _check_version(stage: str, fingerprint: Fingerprint | None) -> None:
    """A rule of one version must not run the code of another, which happens when a job finds another installation."""
    if fingerprint and (fingerprint.stage, fingerprint.version) != (stage, stage_version(stage)):
        raise ValueError(
            f"the workflow asks for {fingerprint.stage} version {fingerprint.version}, but the refrad that runs here"
            f" has {stage} version {stage_version(stage)}: install the same refrad for both"
        )


def _say_where(stage: str) -> None:
    """The first line of a job's log on a cluster: where it runs, and what it may use."""
    if job := os.environ.get("SLURM_JOB_ID"):
        gpu = os.environ.get("CUDA_VISIBLE_DEVICES")
        place = os.environ.get("SLURMD_NODENAME", "?")
        log.info("%s: Slurm job %s on %s, %s", stage, job, place, f"GPU {gpu}" if gpu else "no GPU")


def _help() -> str:
    lines = ["usage: refrad COMMAND [--help]", "", "stages:"]
    for stage in STAGES:
        doc = ast.get_docstring(ast.parse((STAGES_FOLDER / f"{stage}.py").read_text(encoding="utf-8"))) or ""
        lines.append(f"  {stage:<16}{doc.splitlines()[0] if doc else ''}")
    lines += ["", "commands:"] + [f"  {name:<16}{text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(lines)


def _with_flag(arguments: list[str], function: Callable[..., None]) -> list[str]:
    """Arguments that stand alone at the start are the first parameters, in order: `refrad predict CHECKPOINT IMAGE`.

    A first parameter that is a list takes them all.
    """
    alone = list(itertools.takewhile(lambda argument: not argument.startswith("-"), arguments))
    names = [f"--{name.replace('_', '-')}" for name in inspect.signature(function).parameters]
    hints = list(typing.get_type_hints(function).values())
    if alone and typing.get_origin(hints[0]) is list:
        return [names[0], *arguments]
    given = [part for pair in zip(names, alone, strict=False) for part in pair]
    return [*given, *alone[len(names) :], *arguments[len(alone) :]]


def _parser(name: str, function: Callable[..., None]) -> argparse.ArgumentParser:
    """Flags from the keyword parameters of `function`: Path, list[Path], int, str, Fingerprint, and these or None."""
    parser = argparse.ArgumentParser(prog=f"refrad {name}", description=inspect.getdoc(function))
    hints = typing.get_type_hints(function)
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        required = parameter.default is inspect.Parameter.empty
        options: dict[str, Any] = {"required": required} if required else {"default": parameter.default}
        if isinstance(hint, types.UnionType):
            hint = next(part for part in typing.get_args(hint) if part is not type(None))
        if typing.get_origin(hint) is list:
            options["nargs"] = "+"
            hint = typing.get_args(hint)[0]
        options["type"] = Fingerprint.parse if hint is Fingerprint else hint
        parser.add_argument(f"--{parameter.name.replace('_', '-')}", **options)
    return parser
