"""`refrad public-set NAME --root DIR --out site.yaml`: a downloaded public set as a NIfTI delivery, with its config."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from refrad.commands.plan import count_sentences, format_table
from refrad.config import Config, ConfigError, check_config, load_config
from refrad.config.public_sets import PUBLIC_SETS
from refrad.config.site_data import is_demo_weights
from refrad.core.files import atomic, atomic_folder
from refrad.core.private_files import only_for_the_owner
from refrad.core.types import MODALITIES, SPLITS
from refrad.dicom.headers import Header
from refrad.nifti.headers import header_of_entry
from refrad.nifti.volume_list import write_entries
from refrad.public_sets.base import SetOptions, SetTables
from refrad.public_sets.root_folder import check_root, load_adapter
from refrad.public_sets.site_config import MASKS, REPORTS, VOLUMES, WEIGHTS, site_config
from refrad.workflow.estimates import estimate_stages, estimate_tokens, expected_images
from refrad.workflow.rates import load_rates

__all__ = ["main"]

USUAL_SLICES = {"CT": 280, "MR": 40}  # as the usual volumes of workflow/rates.yaml
MOST_HEADERS, MOST_REPORTS = 100, 2000  # from which slices and sentences are estimated


def main(
    name: str,
    *,
    root: Path,
    out: Path | None = None,
    estimate: bool = False,
    reconstruction: str = "first",
    resplit: bool = False,
    validation: float = 0.05,
    masks: Path | None = None,
    tables: Path | None = None,
    config: list[Path] | None = None,
) -> None:
    """Check a downloaded public set, count it, estimate the cost of a run, and write its tables and a config.

    The tables are in a folder next to the config, `site-tables` for site.yaml. Nothing is written into the set.

    Args:
        name: ct-rate, mr-rate, merlin, totalsegmentator or abdomenatlas.
        root: folder into which the set was downloaded.
        out: the config, such as site.yaml, which must not exist yet.
        estimate: print counts and cost and write nothing; ct-rate counts the volumes of its tables, before they are downloaded.
        reconstruction: which volume of a scan is used where there are several: first, all, or a part of the name of a kernel.
        resplit: give patients in several official splits one of them, instead of leaving them out.
        validation: share, 0 to 1, of the training patients that validate, where the set has no split for it.
        masks: folder of masks beside the root.
        tables: folder of tables beside the root, or one table.
        config: config files below the new one, for the estimate; default config.yaml.

    Raises:
        ValueError: if there is no such set, an option or a table is wrong, the outputs exist, or neither or both of out and
            estimate are given.
        FileNotFoundError: if the root is not that of the set, or a part of it is missing.
    """
    if (out is None) != estimate:
        raise ValueError("name the config with --out, such as --out site.yaml, or give --estimate, which writes none")
    adapter = load_adapter(name)
    below = config or [Path("config.yaml")]
    weights = _checked_keys(below).masks.weights
    _check_options(validation, {"masks": masks, "tables": tables})
    if out:
        _check_output(out, _folder_of_tables(out))
    check_root(name, root)
    delivered = adapter.read(root, SetOptions(reconstruction, resplit, validation, masks, tables, estimate))
    headers = [] if estimate else _some_headers(delivered)
    print("\n".join([*_counts(name, delivered, resplit), *_faults(headers)]))
    if not delivered.volumes or delivered.reports.is_empty():
        raise ValueError(f"{name}: nothing can be used, so nothing is written: the counts above say why")
    with tempfile.TemporaryDirectory() as temporary:
        site = out or Path(temporary, "site.yaml")
        folder = _folder_of_tables(site)
        keys = site_config(PUBLIC_SETS[name], delivered, folder)
        if not delivered.masks and not (weights and is_demo_weights(Path(weights))):
            del keys["masks"]  # the configs below choose the segmenter
        if out:
            _write_tables(delivered, folder)
        with only_for_the_owner(), atomic(site) as temporary_file:
            temporary_file.write_text(yaml.safe_dump(keys, sort_keys=False, allow_unicode=True), encoding="utf-8")
        merged = load_config([*below, site])
        print(f"\n{_estimate(delivered, headers, merged)}")
    if out:
        print(f"\nwrote {out} and {folder.name}/ next to it")
        print(_next_step(merged, " ".join(map(str, [*below, out]))))


def _checked_keys(below: Sequence[Path]) -> Config:
    """The config below the new one, whose keys are checked, and whose paths are not, as they may not be there yet.

    Raises:
        ConfigError: if it is incomplete or wrong.
    """
    keys = load_config(below)
    try:
        return Config.model_validate(keys)
    except ValueError:
        return check_config(keys)  # raises it in words


def _folder_of_tables(out: Path) -> Path:
    """The folder of the tables of a config."""
    return out.absolute().with_name(f"{out.stem}-tables")


def _check_options(validation: float, folders: Mapping[str, Path | None]) -> None:
    """Refuse wrong options before the set is read.

    Raises:
        ValueError: if the share is none.
        FileNotFoundError: if a folder does not exist.
    """
    if not 0 <= validation < 1:
        raise ValueError("--validation: is a share of the patients, from 0 to below 1")
    for flag, further in folders.items():
        if further is not None and not (further.is_dir() or (flag == "tables" and further.is_file())):
            raise FileNotFoundError(f"--{flag} {further}: no such folder")


def _check_output(out: Path, folder: Path) -> None:
    """Refuse to overwrite something.

    Raises:
        ValueError: if the config has another ending, or an output exists.
    """
    if out.suffix not in (".yaml", ".yml"):
        raise ValueError(f"--out {out}: is the config, such as site.yaml")
    for path in (out, folder):
        if path.exists():
            raise ValueError(f"--out {out}: {path.name} exists already: remove it, or choose another name")


def _counts(name: str, delivered: SetTables, resplit: bool) -> Iterator[str]:
    """What was delivered and what became of it, in lines without any key, path or text."""
    yield f"{PUBLIC_SETS[name].title}: {PUBLIC_SETS[name].address}"
    yield f"terms: {PUBLIC_SETS[name].describe_terms()}"
    for kind, numbers in delivered.counts.items():
        total, *parts = ((number, text) for text, number in numbers.items())
        if total[0] != sum(number for number, _ in parts):
            raise AssertionError(f"{name}: the counts of {kind} do not add up")
        yield f"{kind}: {total[0]:,} {total[1]} = " + " + ".join(f"{number:,} {text}" for number, text in parts)
    patients = {entry.patient: entry.split for entry in delivered.volumes}
    splits = Counter(patients.values())
    yield f"patients: {len(patients):,} used" + "".join(
        f", {splits[split]:,} {split}" for split in SPLITS if splits[split]
    )
    if unused := [split for split in SPLITS if splits.total() > splits[""] and not splits[split]]:
        yield f"note: no patient is in {' or '.join(unused)}, which a training and its evaluation need"
    if delivered.crossing:
        treatment = "each got one of them" if resplit else "left out; --resplit gives each one of them"
        yield f"patients in several official splits: {delivered.crossing:,}, {treatment}"
    if delivered.masks:
        yield f"masks: of {len(delivered.masks):,} of {len(delivered.volumes):,} volumes"
    yield from (f"note: {finding}" for finding in delivered.findings)


def _estimate(delivered: SetTables, headers: Sequence[Header], config: Mapping[str, Any]) -> str:
    """The estimated cost of the stages, and of the images, as `refrad plan` has it."""
    modalities = Counter(entry.modality for entry in delivered.volumes)
    slices, basis = _count_slices(delivered, headers)
    texts = delivered.reports["text"].gather_every(-(-len(delivered.reports) // MOST_REPORTS))
    sentences = round(count_sentences(texts) * len(delivered.reports) / len(texts))
    counts = {
        "files": len(delivered.volumes),
        "slices": slices,
        "patients": len({entry.patient for entry in delivered.volumes}),
        "volumes": len(delivered.volumes),
        "studies": len({entry.study for entry in delivered.volumes}),
        **{f"{modality} volumes": modalities[modality] for modality in MODALITIES},
        "reports": len(delivered.reports),
        "sentences": sentences,
    }
    rates = load_rates()
    options = Config.model_validate(config)
    table = format_table(estimate_stages(counts, options, rates), {})
    expected = expected_images(counts, rates)
    images = "; ".join(f"{number:,} images ({why})" for why, number in expected.items())
    tokens = [
        f"tokens of {task}: {read:,} read, {written:,} written ({why})\n"
        for task, read, written, why in estimate_tokens(counts, max(expected.values()), options, rates)
    ]
    amounts = f"{slices:,} slices ({basis}), {sentences:,} sentences"
    if len(texts) < len(delivered.reports):
        amounts += f" (by {len(texts):,} reports)"
    return f"{amounts}\n{table}\nexpected dataset: {images}\n{''.join(tokens)}times are of one core or GPU; shards run in parallel"


def _some_headers(delivered: SetTables) -> list[Header]:
    """The headers of up to `MOST_HEADERS` volumes, from all over the set."""
    entries = delivered.volumes[:: max(-(-len(delivered.volumes) // MOST_HEADERS), 1)]
    return [header_of_entry(delivered.folder, entry) for entry in entries]


def _faults(headers: Sequence[Header]) -> Iterator[str]:
    """A line if some of the headers say that their volumes cannot be used, such as those of downloads that have not ended."""
    reasons = Counter(header.reason.replace("_", " ") for header in headers if header.reason is not None)
    if reasons:
        listed = ", ".join(f"{number:,} {reason}" for reason, number in sorted(reasons.items()))
        yield f"note: of {len(headers):,} volumes whose headers were read, some cannot be used: {listed}"


def _count_slices(delivered: SetTables, headers: Sequence[Header]) -> tuple[int, str]:
    """The number of slices, and where it comes from: a table of the set, some headers, or usual volumes if no header can be read."""
    if delivered.slices is not None:
        return delivered.slices, "by the tables of the set"
    numbers = [header.slices for header in headers if header.reason is None]
    if not numbers:
        return sum(USUAL_SLICES.get(entry.modality, 0) for entry in delivered.volumes), "of usual volumes"
    return round(sum(numbers) / len(numbers) * len(delivered.volumes)), f"by {len(numbers)} headers"


def _write_tables(delivered: SetTables, folder: Path) -> None:
    """The tables, which hold keys and reports, readable by their owner only."""
    with only_for_the_owner(), atomic_folder(folder) as temporary:
        write_entries(temporary / VOLUMES, delivered.volumes)
        delivered.reports.write_parquet(temporary / REPORTS)
        if delivered.masks:
            pl.DataFrame(list(delivered.masks.items()), ["volume", "mask"], orient="row").write_csv(temporary / MASKS)


def _next_step(config: Mapping[str, Any], files: str) -> str:
    """What must be done before a run, and the command that starts it."""
    start = f"snakemake --profile {_profile(config)} --configfile {files} -- all"
    try:
        check_config(config)
    except ConfigError as error:
        if config["masks"]["weights"] == WEIGHTS:
            return f"the set has no masks: fill in masks.weights, the weights of TotalSegmentator, in the config; then {start}"
        return f"{error}\nchange these; then {start}"
    return f"next: {start}"


def _profile(config: Mapping[str, Any]) -> str:
    """The profile of the machines that a config is for: in profiles/local, jobs that share one GPU run at the same time."""
    models = [model for model in config["llm"].values() if isinstance(model, Mapping)]
    endpoints = {model.get("endpoint") for model in models}
    if "shared" in endpoints:  # a server for the jobs of many nodes
        return "slurm"
    has_masks = config["masks"]["segmenter"] == "precomputed"
    uses_gpu = "managed" in endpoints or (config["masks"]["device"] == "gpu" and not has_masks)
    return "profiles/one-gpu" if uses_gpu else "profiles/local"
