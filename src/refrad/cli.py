"""The command line: `refrad <stage> --input ... --output ... --fingerprint ...`, and the commands for people.

The flags of a stage or command are the parameters of its function, so rule, command and function cannot drift apart. Modules are
imported when their command runs.
"""

import difflib
import errno
import inspect
import itertools
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from cyclopts import App, CycloptsError, Group, Parameter

import refrad
from refrad.core.noted_exports import note_export
from refrad.core.private_files import only_for_the_owner
from refrad.workflow.fingerprint import Fingerprint, stage_version
from refrad.workflow.job_records import own_record, start_heartbeat
from refrad.workflow.stages import STAGES

__all__ = ["COMMANDS", "Call", "app", "find_function", "main", "parse"]

log = logging.getLogger(__name__)

DISK_FULL = {errno.ENOSPC, errno.EDQUOT}

COMMANDS = {
    "plan": ("refrad.commands.plan:main", "Estimate the cost of a run before it starts."),
    "status": ("refrad.commands.status:main", "List done, failed and waiting jobs; write pages of the results so far."),
    "explain": ("refrad.commands.explain:main", "List the stages that would run again, with the reasons."),
    "recover": ("refrad.commands.recover:main", "Clean up after a run that died, so that it can start again."),
    "forget": ("refrad.commands.forget:main", "Remove a patient who withdraws consent from all that a run holds."),
    "check": ("refrad.commands.check:main", "Verify all that a site has stored: tables, shards, stores."),
    "serve": ("refrad.commands.serve:main", "Serve a language model to all jobs that share it."),
    "try-llm": ("refrad.commands.try_llm:main", "Try a language model on labelled sentences before a run."),
    "predict": ("refrad.commands.predict:main", "Run a trained model on an image or a folder of images."),
    "score": ("refrad.commands.score:main", "Score predictions against the ground truth."),
    "find-mentions": ("refrad.commands.find_mentions:main", "Print the mentions of a sentence."),
    "review": ("refrad.commands.review:main", "Serve the dataset to reviewers in a browser of this machine."),
    "audit": ("refrad.commands.audit:main", "Make a sheet of random triplets to tick; precision of a ticked sheet."),
    "export": (
        "refrad.commands.export:main",
        "Write the dataset for another tool: coco, fiftyone, llava, qwen3-vl, ...",
    ),
    "public": ("refrad.commands.public:main", "Convert SLAKE or VQA-RAD to the format of the shards."),
    "public-set": ("refrad.commands.public_set:main", "Turn a downloaded public set of volumes into a delivery."),
    "convert": ("refrad.commands.convert:main", "Write the truth for `score` from SLAKE, VQA-RAD or the shards."),
    "export-dicom": ("refrad.commands.export_dicom:main", "Write the accepted images as de-identified DICOM files."),
    "export-masks": ("refrad.commands.export_masks:main", "Write masks as DICOM segmentations or NIfTI files."),
    "budget": ("refrad.commands.budget:main", "Estimate GPU hours and disk of the masks."),
    "check-masks": ("refrad.commands.check_masks:main", "List label volumes with implausible anatomy."),
    "study export": ("refrad.commands.study:export", "Write blinded pairs for human raters, to validate LLMScore."),
    "study read": ("refrad.commands.study:read", "Agreement of the ratings, and their correlation with LLMScore."),
    "score-mentions": ("refrad.commands.score_mentions:main", "Score the mention finder on labelled sentences."),
    "score-scrub": ("refrad.commands.score_scrub:main", "Score the removal of identifiers on labelled letters."),
    "demo": ("refrad.commands.demo:main", "Write a synthetic delivery: DICOM files, reports and references."),
}
# These write images, sentences or labels, in files that their owner alone can read.
PRIVATE = {"audit", "convert", "export", "export-dicom", "export-masks", "predict", "review", "study export", "try-llm"}
GROUPS = {"study": "Validate LLMScore with human raters."}


class Call(NamedTuple):
    """A parsed command line: `function` is called with `arguments`."""

    name: str
    function: Callable[..., Any]
    arguments: inspect.BoundArguments


def _app() -> App:
    """The application: a command for each stage and each entry of COMMANDS, none of them imported yet."""
    # A fingerprint is one argument; the decorator is applied here, so that no library module needs cyclopts.
    Parameter(n_tokens=1, accepts_keys=False, converter=lambda _, tokens: Fingerprint.parse(tokens[0].value))(
        Fingerprint
    )
    # Lists take all arguments up to the next flag, a flag that is repeated replaces its value, and no flag has a negation.
    default = Parameter(consume_multiple=(1, None), negative=(), allow_repeating=True)
    stages, commands = Group("Stages", sort_key=2), Group("Commands", sort_key=1)
    application = App(
        name="refrad",
        version=refrad.__version__,
        help="From a CT/MR archive and its reports to a grounded dataset and RadGrounder.",
        help_format="plaintext",
        default_parameter=default,
        group_commands=commands,
        result_action="return_value",
    )
    parents = {name: App(name=name, help=text, group=commands) for name, text in GROUPS.items()}
    for parent in parents.values():
        application.command(parent)
    for name, (target, text) in COMMANDS.items():
        group, _, command = name.rpartition(" ")
        (parents[group] if group else application).command(target, name=command, help=text)
    for number, stage in enumerate(STAGES.values()):
        target = f"refrad.stages.{stage.name}:run"
        application.command(target, name=stage.name, help=stage.sentence, group=stages, sort_key=number)
    application.register_install_completion_command(help="Install shell completion (bash, zsh or fish).")
    return application


app = _app()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage or command.

    Returns:
        The exit status: 0; 1 with one line on stderr if the input is at fault; 2 if the command line is.
    """
    # Short spinning of waiting threads: endless spinning made training 8 times slower on a busy machine, and sleeping at once
    # makes it half as fast on an idle one.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Libraries report problems only: what they tell of their progress holds UIDs (highdicom).
    logging.getLogger("refrad").setLevel(logging.INFO)
    # transformers imports torchao wherever it is installed, which warns of kernels that this machine's torch cannot load.
    for name in ("torchao", "torch.utils._pytree"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    words = _current_spelling(list(sys.argv[1:] if arguments is None else arguments))
    try:
        call = parse(words)
    except CycloptsError as error:
        print(f"{' '.join(['refrad', *app.parse_commands(words)[0]])}: {_one_line(error)}", file=sys.stderr)
        return 2
    _log_place(call.name)
    try:
        _check_version(call.name, call.arguments.arguments.get("fingerprint"))
        with only_for_the_owner() if call.name in PRIVATE else nullcontext():
            try:
                call.function(*call.arguments.args, **call.arguments.kwargs)
            finally:
                _note_output(call)
        sys.stdout.flush()
    except (ValueError, FileNotFoundError) as error:
        print(f"refrad {call.name}: {_in_words(error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `refrad plan | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit flushes nothing into the pipe
        return 1
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        print(f"refrad {call.name}: the disk or the quota is full: free some space and start again", file=sys.stderr)
        return 1
    return 0


def _note_output(call: Call) -> None:
    """Note where a command has written images or sentences, for `refrad forget`; in the folder of a run only."""
    call.arguments.apply_defaults()
    out, private = call.arguments.arguments.get("out"), Path("private")
    if call.name in PRIVATE and out and Path(out).exists() and private.is_dir():
        note_export(private, call.name, Path(out), call.arguments.arguments.get("accept_terms") or ())


def parse(words: Sequence[str]) -> Call:
    """The call that a command line describes; the call of the help or version page where it requests one.

    Raises:
        CycloptsError: if the command or a flag is unknown, a flag is missing, or a value has the wrong type.
    """
    command = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
    chain, applications, unparsed = app.parse_commands(command)
    if unparsed and (len(chain) == 0 or chain[-1] in GROUPS):
        raise CycloptsError(msg=_unknown_command(chain, unparsed[0]))
    if {"--help", "-h"} & set(words):
        _prepare_help(applications[-1])
    function, bound, _ = app.parse_args(list(words), exit_on_error=False, print_error=False)
    return Call(" ".join(chain), function, bound)


def find_function(words: Sequence[str]) -> Callable[..., Any]:
    """The function of the stage or command that a command line starts with, for any flags.

    Raises:
        ValueError: if there is no such stage or command.
    """
    function = app.parse_commands(list(words))[1][-1].default_command
    if function is None:
        raise ValueError(f"refrad: no such command: {' '.join(words)}")
    return function


def _prepare_help(application: App) -> None:
    """Describe a command by the docstring of its function, and positional arguments with their types."""
    from attrs import evolve  # the classes of cyclopts are attrs classes
    from cyclopts.help import DefaultFormatter, HelpEntry  # here, as it loads rich

    class Formatter(DefaultFormatter):
        def __call__(self, console: Any, options: Any, panel: Any) -> None:
            panel.entries = [_with_type(entry) for entry in panel.entries]
            super().__call__(console, options, panel)

    def _with_type(entry: HelpEntry) -> HelpEntry:
        label = entry.positional_label
        return evolve(entry, positional_label=f"{label} ({entry.metavar})") if label and entry.metavar else entry

    if application.default_command:
        application.help = inspect.getdoc(application.default_command) or application.help
    app.help_formatter = Formatter()


def _current_spelling(words: list[str]) -> list[str]:
    """The words with the present name of a command or flag in place of a former one, which works for one more release."""
    current = list(words)
    if words[:1] == ["mentions"] and "--text" in words:
        former, name = "mentions --text", "find-mentions"
        current[0] = name
    elif words[:1] == ["evaluate"] and not any(word.startswith(("--fingerprint", "--help", "-h")) for word in words):
        former, name = "evaluate", "score"  # the stage has a fingerprint
        current[0] = name
    elif words[:1] == ["serve"] and any(word.split("=")[0] == "--place" for word in words):
        former, name = "serve --place", "serve --folder"
        current = [word.replace("--place", "--folder", 1) if word.startswith("--place") else word for word in words]
    else:
        return words
    print(f"refrad: `refrad {former}` is now `refrad {name}`; the next release drops the old name", file=sys.stderr)
    return current


def _unknown_command(chain: Sequence[str], word: str) -> str:
    """The message for an unknown command, from the names alone: cyclopts would import all commands for its own."""
    prefix = "".join(f"{name} " for name in chain)
    names = [name.removeprefix(prefix).split()[0] for name in [*COMMANDS, *STAGES] if name.startswith(prefix)]
    nearest = difflib.get_close_matches(word, names, n=1)
    hint = f' Did you mean "{nearest[0]}"?' if nearest else ""
    return f'Unknown command "{word}".{hint} `{" ".join(["refrad", *chain])} --help` lists all commands.'


def _one_line(error: CycloptsError) -> str:
    return " ".join(str(error).split())


def _in_words(error: ValueError | FileNotFoundError) -> str:
    if not isinstance(error, FileNotFoundError) or error.filename is None:
        return str(error)
    elsewhere = not Path(error.filename).is_absolute() and not Path("Snakefile").exists()
    return (
        f"no such file or folder: {error.filename}"
        + ": the current folder, which has no Snakefile, is where it was looked for" * elsewhere
    )


def _check_version(name: str, fingerprint: Fingerprint | None) -> None:
    """Refuse to run a stage for a workflow of another version, as when a job finds another installation.

    Raises:
        ValueError: if the versions differ.
    """
    if fingerprint and (fingerprint.stage, fingerprint.version) != (name, stage_version(name)):
        raise ValueError(
            f"the workflow needs {fingerprint.stage} version {fingerprint.version}, but the refrad that runs here"
            f" has {name} version {stage_version(name)}: install the same refrad for both"
        )


def _log_place(name: str) -> None:
    """The first lines of a job's log: its process, by which `refrad status` finds it, and on a cluster its node and GPU."""
    if job := os.environ.get("SLURM_JOB_ID"):
        gpu = os.environ.get("CUDA_VISIBLE_DEVICES")
        node = os.environ.get("SLURMD_NODENAME", "?")
        log.info("%s: Slurm job %s on %s, %s", name, job, node, f"GPU {gpu}" if gpu else "no GPU")
    if name in STAGES:
        log.info("%s: %s", name, own_record())
        start_heartbeat()
