"""The dataset card: Markdown with the front matter of dataset hubs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from refrad.core.types import SPLITS
from refrad.dataset.columns import COLUMNS
from refrad.dataset.leakage import Leakage
from refrad.dataset.statistics import DatasetSummary
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["DatasetInfo", "columns_table", "render_card"]

COUNTED = ("patients", "volumes", "images", "captions", "grounded phrases", "boxes", "questions")
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


@dataclass(frozen=True)
class DatasetInfo:
    """Title, creator and terms (SPDX name or sentence) of the dataset, from the config."""

    title: str
    creator: str
    terms: str


def render_card(
    about: DatasetInfo,
    summary: DatasetSummary,
    leakage: Leakage,
    terms: Mapping[str, str],
    made: Mapping[str, Fingerprint],
    data_files: Mapping[str, str],
) -> str:
    """The card as Markdown.

    Args:
        about: from the config.
        summary: the numbers.
        leakage: patients, studies and pictures in more than one split.
        terms: of each column that the files have.
        made: the fingerprint of each stage.
        data_files: split to pattern, for loaders; or {"train": pattern} where the split is a column.
    """
    front = {
        "pretty_name": about.title,
        "license": "other",
        "license_name": about.terms,
        "language": sorted(summary.tables.get("language of captions", ())),
        "task_categories": ["image-to-text", "visual-question-answering", "object-detection"],
        "tags": ["medical", "radiology", "ct", "mri", "grounding"],
        "size_categories": [next((word for limit, word in SIZES if summary.total("images") < limit), "n>10M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": path} for split, path in data_files.items()],
            }
        ],
    }
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n",
        f"# {about.title}\n",
        f"Slices of CT and MR with sentences of their radiology reports, and a box and a mask for each anatomical phrase in"
        f" them. Given by {about.creator}. Every number on this card is counted from the files beside it.\n",
        "## What is in it\n",
        _table(("", *SPLITS, "all"), [_row(summary, unit) for unit in COUNTED]),
    ]
    for name, rows in sorted(summary.tables.items()):
        most = sorted(rows.items(), key=lambda row: (-row[1], row[0]))
        shown = most[:20]
        parts += [f"### {name.capitalize()}\n", _table((name, "count"), [(key, f"{n:,}") for key, n in shown])]
        if len(most) > len(shown):
            parts.append(f"and {len(most) - len(shown)} more.\n")
    parts += [
        "## Splits\n",
        f"By patient, from a keyed hash, so a patient never changes sides. Looked for in more than one split:"
        f" {len(leakage.patients)} patients, {len(leakage.studies)} studies, {len(leakage.pictures)} pairs of nearly the same"
        f" picture found among {leakage.images:,} images. "
        + ("Nothing crosses.\n" if not leakage.total else "**Not to be published before these are resolved.**\n"),
        "## How it was made\n",
        "No box and no mask was drawn by hand. Masks are a segmenter's, phrases a finder's; a pair of image and sentence is"
        " kept where both agree on an anatomical class. Both make mistakes: `refrad audit` measures how often.\n",
        _table(("what", "made by", "images"), list(_backends(summary))),
        *_warnings(made),
        _table(("stage", "version", "options"), [(s, str(f.version), f"`{_options(f)}`") for s, f in made.items()]),
        "## Columns and their terms\n",
        columns_table({name: f"{meaning_of(name)} | {terms[name]}" for name in terms}, ("column", "meaning | terms")),
        "## Privacy\n",
        "Identifiers are keyed pseudonyms; names, dates and identifying numbers of the reports are replaced by placeholders by rules, which"
        " can miss some. Faces and burned-in text are not looked for in pixels. Treat the data as confidential unless your"
        " institution has decided otherwise.\n",
        "## Loading\n",
        "    from datasets import load_dataset\n    dataset = load_dataset(FOLDER)\n",
    ]
    return "\n".join(parts)


def meaning_of(name: str) -> str:
    """The description of a column."""
    return next(column.meaning for column in COLUMNS if column.name == name)


def columns_table(rows: Mapping[str, str], heads: Sequence[str] = ("column", "meaning")) -> str:
    """A Markdown table of columns."""
    head = " | ".join(heads)
    lines = [f"| {head} |", "|" + "---|" * (head.count("|") + 1)]
    return "\n".join(lines + [f"| `{name}` | {text} |" for name, text in rows.items()]) + "\n"


def _row(summary: DatasetSummary, unit: str) -> tuple[str, ...]:
    numbers = [summary.splits.get(split, Counter())[unit] for split in SPLITS]
    return (unit, *(f"{n:,}" for n in numbers), f"{sum(numbers):,}")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _backends(summary: DatasetSummary) -> Iterable[tuple[str, str, str]]:
    for what, names in summary.backends.items():
        for name, n in sorted(names.items()):
            yield what, name, f"{n:,}"


def _options(fingerprint: Fingerprint) -> str:
    """The options of a stage in one line; paths of the site by their last part."""
    options = {
        key: value.split("/")[-1] if isinstance(value, str) else value for key, value in fingerprint.options.items()
    }
    return ", ".join(f"{key}: {value}" for key, value in sorted(options.items())).replace("|", "/")


def _warnings(made: Mapping[str, Fingerprint]) -> list[str]:
    """Warnings about simplifications that users of the data must know."""
    weights = str(made["masks"].options.get("weights") or "") if "masks" in made else ""
    if "demo_weights" in weights:
        return ["**The masks come from demo weights, which know made-up bodies only: of no use for real patients.**\n"]
    return []
