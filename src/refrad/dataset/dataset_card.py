"""The dataset card: Markdown with the front matter of dataset hubs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from refrad.config.public_sets import PublicSet, SetPart
from refrad.config.site_data import DEMO_WEIGHTS
from refrad.core.types import SPLITS
from refrad.dataset.columns import COLUMNS
from refrad.dataset.file_list import DataFile, data_digest, describe_for_loaders
from refrad.dataset.leakage import Leakage
from refrad.dataset.statistics import DatasetSummary
from refrad.dataset.terms import PRECOMPUTED
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["DatasetInfo", "render_card", "with_files"]

COUNTED = ("patients", "volumes", "images", "captions", "grounded captions", "grounded phrases", "boxes", "questions")
LOADING = "## Loading"
MOST_FREQUENT = 20  # values of a table of counts
SPELLINGS = ", where ids that differ in case, separators, padding zeros or issuer are in one split"
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


@dataclass(frozen=True)
class DatasetInfo:
    """Title, creator and terms (SPDX name or sentence) of the dataset, from the config, and the public sets that it has rows of."""

    title: str
    creator: str
    terms: str
    sets: Sequence[PublicSet] = ()

    @property
    def all_terms(self) -> str:
        """The terms of the site and of each public set, in a line; once where the site's are those of a set alone."""
        of_sets = {f"{entry.title}: {entry.describe_terms()}": entry.describe_terms() for entry in self.sets}
        return ". ".join([*([] if self.terms in of_sets.values() else [self.terms]), *of_sets])

    @property
    def citations(self) -> list[str]:
        """What to cite: the dataset, then the public sets."""
        cited = (citation for entry in self.sets for citation in entry.citations)
        return list(dict.fromkeys([f"{self.creator}: {self.title}.", *cited]))


def render_card(
    about: DatasetInfo,
    summary: DatasetSummary,
    leakage: Leakage,
    terms: Mapping[str, str],
    fingerprints: Mapping[str, Fingerprint],
    files: Mapping[str, Sequence[DataFile]],
    review: str = "",
) -> str:
    """The card as Markdown.

    Args:
        about: from the config.
        summary: the numbers.
        leakage: patients, studies and pictures in more than one split.
        terms: of each column that the files have.
        fingerprints: of each stage.
        files: split to its files.
        review: section about the review by people.
    """
    columns = [(f"`{name}`", _meaning(name), text) for name, text in terms.items()]
    return "\n".join(
        [
            _front_matter(about, summary, files),
            f"# {about.title}\n",
            f"Slices of CT and MR with sentences of their radiology reports, and a box and a mask for each anatomical phrase in"
            f" them. Published by {about.creator}. Every number on this card is counted from the files of the dataset.\n",
            "## Contents\n",
            _table(("", *SPLITS, "all"), [_row(summary, unit) for unit in COUNTED]),
            *_frequencies(summary),
            "## Splits\n",
            _splits(leakage, fingerprints),
            "## Creation\n",
            _origin_of_masks(summary),
            _table(("part", "made by", "images"), list(_backends(summary))),
            *_warnings(summary, fingerprints),
            _table(("stage", "version", "options"), list(_stages(fingerprints))),
            *([review] if review else []),
            *_public_sets(about.sets, summary),
            "## Columns and their terms\n",
            _table(("column", "meaning", "terms"), columns),
            "## Citation\n",
            "\n".join(f"- {citation}" for citation in about.citations) + "\n",
            "## Privacy\n",
            "Identifiers are keyed pseudonyms. Rules replace the names, dates and identifying numbers of the reports by"
            " placeholders; they can miss some. The pixels are not searched for faces and burned-in text. Treat the data as"
            " confidential unless your institution has decided otherwise.\n",
            f"{LOADING}\n",
            _loading(files),
        ]
    )


def with_files(card: str, files: Mapping[str, Sequence[DataFile]]) -> str:
    """A card of the same data in other files: its front matter and its section on loading name these.

    Args:
        card: text of `render_card`; or empty.
        files: split to its files.
    """
    _, front, text = card.split("---\n", 2) if card.startswith("---\n") else ("", "", card)
    matter = (yaml.safe_load(front) or {}) | describe_for_loaders(files)
    before, _, loading = text.partition(f"{LOADING}\n")
    _, heading, after = loading.partition("\n## ")
    return f"{_yaml(matter)}{before}{LOADING}\n\n{_loading(files)}{heading}{after}"


def _yaml(front: Mapping[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True)}---\n"


def _front_matter(about: DatasetInfo, summary: DatasetSummary, files: Mapping[str, Sequence[DataFile]]) -> str:
    """The YAML block that dataset hubs read."""
    front = {
        "pretty_name": about.title,
        "license": "other",
        "license_name": about.all_terms,
        "language": sorted(summary.tables.get("language of captions", ())),
        "task_categories": ["image-to-text", "visual-question-answering", "object-detection"],
        "tags": ["medical", "radiology", "ct", "mri", "grounding"],
        "size_categories": [next((word for limit, word in SIZES if summary.total("images") < limit), "n>10M")],
        **describe_for_loaders(files),
    }
    return _yaml(front)


def _loading(files: Mapping[str, Sequence[DataFile]]) -> str:
    """The calls that open the dataset, and what identifies it."""
    all_files = [file for of_split in files.values() for file in of_split]
    return (
        f"`croissant.json` names the {len(all_files):,} files of the dataset, {sum(file.size for file in all_files):,} bytes, with their"
        f" digests. Digest of all data: `{data_digest(all_files)}`.\n\n"
        "    from datasets import load_dataset\n    dataset = load_dataset(FOLDER)\n\n"
        '`dataset["train"]` holds training patients only; a split without images is missing. Other tools open the folder `data`, with'
        " the column `split`:\n\n"
        '    import pyarrow.parquet\n    table = pyarrow.parquet.read_table(f"{FOLDER}/data")\n'
    )


def _frequencies(summary: DatasetSummary) -> Iterator[str]:
    """A section for each table of counts, with its most frequent values."""
    for name, counts in sorted(summary.tables.items()):
        by_count = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
        top = by_count[:MOST_FREQUENT]
        yield f"### {name.capitalize()}\n"
        yield _table((name, "count"), [(key, f"{n:,}") for key, n in top])
        if len(by_count) > len(top):
            yield f"and {len(by_count) - len(top)} more.\n"


def _splits(leakage: Leakage, fingerprints: Mapping[str, Fingerprint]) -> str:
    """What was looked for between the splits, what was found, and what cannot be found."""
    index = fingerprints.get("index")
    spellings = "" if index is None or index.options.get("patient_ids") == "exact" else SPELLINGS
    counts = (
        "By patient: the official splits of a delivery that has some, else from a keyed hash of the patient. Found in more than one split:"
        f" {len(leakage.patients)} patients, {len(leakage.studies)} studies, {len(leakage.pictures)} pairs of copied"
        f" pictures among {leakage.images:,} images. "
    )
    verdict = "**Not to be published before these are resolved.**" if leakage.total else "Nothing crosses."
    return (
        f"{counts}{verdict}\n\n{_persons(leakage)}"
        f"Looked for: patients and studies by their pseudonyms{spellings}, and pictures that differ in gain, offset, noise, window,"
        " matrix, compression, a shift of up to 10 %, a crop to 80 % or more or a tilt of a degree, or that are mirrored or turned"
        f" by 180 degrees; {leakage.compared:,} pairs of pictures that look alike were aligned and compared. Not to be found:"
        " another reconstruction or examination of a person under another id, smaller crops, larger tilts, turns by 90 degrees,"
        " strongly smoothed or nearly empty pictures.\n"
    )


def _persons(leakage: Leakage) -> str:
    """The patients that may be one person, by name and birth date."""
    if leakage.persons is None:
        return "Not looked for: equal names and birth dates under different ids.\n\n"
    sentence = f"{len(leakage.persons)} possible same patients: equal name and birth date under ids of different splits, by keyed digests."
    if not leakage.persons:
        return f"{sentence}\n\n"
    return (
        f"**{sentence}** `leakage.json` names them by their pseudonyms. They are not moved, and exports do not refuse, since two people"
        " may share both. If they are one person, give them one PatientID in the archive, or leave one out.\n\n"
    )


def _origin_of_masks(summary: DatasetSummary) -> str:
    """What makes the pairs; masks that were delivered may have been drawn by hand."""
    delivered = any(PRECOMPUTED in segmenter for segmenter in summary.backends.get("segmenter", ()))
    origin = (
        "Masks were delivered with the images" if delivered else "No mask was drawn by hand: they come from a segmenter"
    )
    return (
        f"No box was drawn by hand. {origin}, and phrases come from a finder; a pair of image and sentence is kept where both agree on an"
        " anatomical class. Both make mistakes: `refrad audit` measures how often.\n"
    )


def _public_sets(sets: Sequence[PublicSet], summary: DatasetSummary) -> Iterator[str]:
    """A section about the public sets that have rows: their terms, and which reports were made from masks."""
    if not sets:
        return
    yield "## Public sets\n"
    rows = [
        (
            f"[{entry.title}]({entry.address}) (`{entry.name}`)",
            f"{summary.sources[entry.name].total():,}",
            entry.images.text,
            entry.reports.text,
            entry.masks.text,
            ", ".join(part for part in get_args(SetPart) if entry.terms(part).redistributable) or "nothing",
        )
        for entry in sets
    ]
    heads = ("set", "images", "terms of its images", "terms of its reports", "terms of its masks", "may be passed on")
    yield _table(heads, rows)
    for entry in sets:
        if entry.reports_of_masks:
            yield (
                f"**The reports of {entry.title} were generated from masks: no radiologist wrote them, and they prove nothing about"
                " masks. All of its images are in train; do not evaluate on them.**\n"
            )


def _stages(fingerprints: Mapping[str, Fingerprint]) -> Iterator[tuple[str, str, str]]:
    for stage, fingerprint in fingerprints.items():
        yield stage, str(fingerprint.version), f"`{_options(fingerprint)}`"


def _meaning(column_name: str) -> str:
    return next(column.meaning for column in COLUMNS if column.name == column_name)


def _row(summary: DatasetSummary, unit: str) -> tuple[str, ...]:
    numbers = [summary.splits.get(split, Counter())[unit] for split in SPLITS]
    return (unit, *(f"{n:,}" for n in numbers), f"{sum(numbers):,}")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _backends(summary: DatasetSummary) -> Iterator[tuple[str, str, str]]:
    for part, backends in summary.backends.items():
        for backend, n in sorted(backends.items()):
            yield part, backend, f"{n:,}"


def _options(fingerprint: Fingerprint) -> str:
    """The options of a stage in one line; paths of the site by their last part."""
    options = {
        key: value.split("/")[-1] if isinstance(value, str) else value for key, value in fingerprint.options.items()
    }
    return ", ".join(f"{key}: {value}" for key, value in sorted(options.items())).replace("|", "/")


def _warnings(summary: DatasetSummary, fingerprints: Mapping[str, Fingerprint]) -> list[str]:
    """Warnings about simplifications that users of the data must know."""
    options = fingerprints["masks"].options if "masks" in fingerprints else {}
    weights = str(options.get("weights")) if options.get("segmenter") == "totalsegmentator" else ""
    segmenters = summary.backends.get("segmenter", ())
    if Path(weights).name == "demo_weights" or any(DEMO_WEIGHTS in segmenter for segmenter in segmenters):
        return ["**The masks come from demo weights, trained on made-up bodies only: of no use for real patients.**\n"]
    return []
