"""The message at the end of a run: what was delivered, used and quarantined, and which files to open."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from refrad.reporting.wording import REASONS
from refrad.workflow.tally import StageMetrics, merge

__all__ = ["FILES", "end_of_run", "explain_empty_dataset"]

# Files to open after a run, below the results, and their meaning; {name} is the name of the model.
FILES = {
    "report/index.html": "the run on one page, with a page for each stage",
    "report/gallery.html": "slices with boxes and their sentences",
    "shards/README.md": "the card of the dataset; the Parquet files are in the folder data next to it",
    "train/{name}": "the checkpoint, loads with from_pretrained",
    "evaluate/{name}/metrics.json": "its evaluation on the test patients",
}

RED, PLAIN = "\x1b[31m", "\x1b[0m"
SHOWN = 3  # reasons in a line, or of an empty dataset
# Rows of the table: stage, the plural noun of its inputs, and whether the row stands there if nothing is quarantined.
ROWS = (
    ("index", "files", True),
    ("volumes", "volumes", True),
    ("masks", "volumes to label", False),
    ("captions", "sentences", True),
    ("grounded", "captions to pair", True),
)
# Stages that can be the reason of an empty dataset, with the sentence for one that took nothing; the others follow from them.
CAUSES = {
    "index": "The folders of the deliveries hold no file.",
    "volumes": "",
    "masks": "",
    "structures": "",
    "captions": "No sentence was read from the reports.",
    "mentions": "",
    "copies": "",
    "grounded": "",
    "shards": "",
}
NEEDED = ("index", "volumes", "captions", "shards")  # without an item used in one of them there is no image
NAMES = {
    "dicom": "DICOM",
    "nifti": "NIfTI",
    "ct": "CT",
    "mr": "MR",
    "rtf": "RTF",
    "hl7": "HL7",
    "html": "HTML",
    "xml": "XML",
    "pdf": "PDF",
}
LISTS = ("include", "exclude")
MOVED = "files of former deliveries and shards"  # table of stage card

Counted = Mapping[str, Sequence[tuple[str, Any]]]
"""Stage to what its metrics files hold, each with its delivery or delivery and shard; half a file is not counted."""


def end_of_run(
    counted: Counted, expected: Mapping[str, int], files: Sequence[tuple[str, str]], pages: str, coloured: bool
) -> str:
    """The message after a run that succeeded, or "" where there is nothing to say.

    Args:
        counted: what the metrics files of the stages hold that this run brought up to date.
        expected: number of the jobs of each stage.
        files: path and meaning of each file to open that this run made.
        pages: folder of the pages.
        coloured: whether warnings are red, by ANSI escapes.
    """
    merged = _merged(counted)
    empty = explain_empty_dataset(counted, expected, pages, coloured)
    lines = [*_dataset(merged), *_table(merged), *_reports(merged, coloured), *_entries(counted), *empty]
    lines += [*_former(merged), *_missing(counted, expected)]
    if files and not empty:  # else the page to open is named above
        width = max(len(path) for path, _ in files)
        lines += ["worth opening:", *(f"  {path:<{width}}  {meaning}" for path, meaning in files)]
    return "\n".join(["", *lines]) if lines else ""


def explain_empty_dataset(counted: Counted, expected: Mapping[str, int], pages: str, coloured: bool) -> list[str]:
    """Lines on a dataset without an image: the largest reasons by their share of the inputs, and the page of the first.

    No line if there are images, or as long as there may be some. Arguments as those of `end_of_run`.
    """
    merged = _merged(counted)
    whole = [stage for stage in merged if len(_sound(counted[stage])) >= expected.get(stage, 1)]
    images = "shards" in merged and merged["shards"]["made"].get("rows", 0)
    if images or not any(stage == "shards" or not merged[stage]["flow"]["used"] for stage in whole if stage in NEEDED):
        return []
    causes = _causes(merged)[:SHOWN]
    lines = ["No image is grounded: the dataset is empty." + " The largest reasons:" * bool(causes)]
    lines += [f"  {words}" for _, words in causes]
    page = f"{pages}/stages/{causes[0][0]}.html" if causes else f"{pages}/index.html"
    return [_red(line, coloured) for line in [*lines, f"  look first at {page}"]]


def _causes(merged: Mapping[str, StageMetrics]) -> list[tuple[str, str]]:
    """Stage and words of each reason, the largest share of the stage's inputs first; of equal ones the earlier stage."""
    causes: dict[str, tuple[float, str, str]] = {}
    for stage, nothing in CAUSES.items():
        if stage not in merged:
            continue
        flow, unit = merged[stage]["flow"], merged[stage]["unit"]
        if nothing and not flow["taken"]:
            causes[nothing] = 1.0, stage, nothing
        for reason, count in flow["aside"].items():
            share = count / flow["taken"] if flow["taken"] else 0.0
            words = f"{count:,} of {flow['taken']:,} {unit}: {REASONS.get(reason, _words(reason))}"
            if count and (reason not in causes or share > causes[reason][0]):
                causes[reason] = share, stage, words
    return [(stage, words) for _, stage, words in sorted(causes.values(), key=lambda cause: -cause[0])]


def _dataset(merged: Mapping[str, StageMetrics]) -> list[str]:
    made = merged["shards"]["made"] if "shards" in merged else {}
    if not made.get("rows"):
        return []
    return [
        f"dataset: {_number(made['rows'], 'image')} with {_number(made.get('captions', 0), 'caption')},"
        f" {_number(made.get('entities', 0), 'grounded mention')} and {_number(made.get('questions', 0), 'question')}"
    ]


def _table(merged: Mapping[str, StageMetrics]) -> list[str]:
    rows = [
        (unit, merged[stage]["flow"])
        for stage, unit, always in ROWS
        if stage in merged and (always or merged[stage]["flow"]["aside"])
    ]
    lines = [f"{'':<16} {'delivered':>11} {'used':>11} {'quarantined':>11}"] if rows else []
    for unit, flow in rows:
        largest = sorted(flow["aside"].items(), key=lambda item: -item[1])
        reasons = [f"{count:,} {_words(reason)}" for reason, count in largest[:SHOWN] if count]
        reasons += [f"{sum(count for _, count in largest[SHOWN:]):,} for other reasons"] if len(largest) > SHOWN else []
        numbers = f"{flow['taken']:>11,} {flow['used']:>11,} {sum(flow['aside'].values()):>11,}"
        lines.append(f"{unit:<16} {numbers}  {', '.join(reasons)}".rstrip())
    return lines


def _reports(merged: Mapping[str, StageMetrics], coloured: bool) -> list[str]:
    reports = merged["captions"]["tables"].get("reports", {}) if "captions" in merged else {}
    total, without = int(sum(reports.values())), int(reports.get("no_study", 0))
    if not without:
        return []
    line = f"{without:,} of {_number(total, 'report')} fit no study"
    return [_red(line, coloured and without == total)]


def _entries(counted: Counted) -> list[str]:
    """Entries of the lists that choose images, where they match nothing; which ones is private, and in the log."""
    lines = []
    for name in LISTS:
        unmatched = {
            delivery: int(metrics["tables"].get(f"entries of index.{name}", {}).get("match none in this delivery", 0))
            for delivery, metrics in _sound(counted.get("index", ()))
        }
        places = [f"{count:,} in {delivery}" for delivery, count in unmatched.items() if count]
        if places:
            more = ["more in other deliveries"] if len(places) > SHOWN else []
            lines.append(f"entries of index.{name} that match no image: {', '.join(places[:SHOWN] + more)}")
    return lines


def _missing(counted: Counted, expected: Mapping[str, int]) -> list[str]:
    """A line on stages of which some jobs have no sound metrics file; of a stage without any, nothing was run."""
    missing = [
        f"{left:,} of {expected[stage]:,} of {stage}"
        for stage, parts in counted.items()
        if parts and (left := expected.get(stage, 0) - len(_sound(parts))) > 0
    ]
    return [f"jobs that are not counted: {', '.join(missing)}"] if missing else []


def _former(merged: Mapping[str, StageMetrics]) -> list[str]:
    """A line on deliveries whose files stage card moved out of the dataset."""
    files = merged["card"]["tables"].get(MOVED, {}) if "card" in merged else {}
    names = ", ".join(f"{_number(int(count), 'file')} of {name}" for name, count in sorted(files.items()))
    return [f"no longer in the dataset: {names}, now in results/former"] if files else []


def _merged(counted: Counted) -> dict[str, StageMetrics]:
    sound = {stage: _sound(parts) for stage, parts in counted.items()}
    return {stage: merge(metrics for _, metrics in parts) for stage, parts in sound.items() if parts}


def _sound(parts: Sequence[tuple[str, Any]]) -> list[tuple[str, StageMetrics]]:
    """Those parts that are whole metrics files."""
    return [
        (name, cast(StageMetrics, metrics))
        for name, metrics in parts
        if isinstance(metrics, Mapping)
        and StageMetrics.__required_keys__ <= metrics.keys()
        and {"taken", "used", "aside"} <= metrics["flow"].keys()
    ]


def _words(reason: str) -> str:
    """The code of a reason as words: not_dicom is "not DICOM"."""
    return " ".join(NAMES.get(word, word) for word in reason.split("_"))


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _red(line: str, coloured: bool) -> str:
    return f"{RED}{line}{PLAIN}" if coloured else line
