"""`refrad explain`: which stages would run if the workflow were started now, and why, in words.

Snakemake says what would run. Why is found by laying beside each other the fingerprint that stands in a stage's last
result and the one that the config, the schema files and the code come to now.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from refrad.commands.status import jobs_of
from refrad.config import load_config
from refrad.workflow.fingerprint import SHARD_STAGES, Fingerprint
from refrad.workflow.site import Site

__all__ = ["Planned", "changes", "explain", "main", "planned_jobs"]

LOCAL = Path("profiles/local")
Planned = Mapping[str, Any]  # a job that would run: rule, wildcards, reason

# What Snakemake calls its reasons, where the fingerprint has nothing to say of them.
OTHER_REASONS = {
    "Code has changed": "the command of its rule changed",
    "Set of input files has changed": "it takes in more or fewer files than before, as after a new delivery",
    "Software environment": "its environment file changed",
    "Forced execution": "it was asked for by force",
    "Output files have incomplete": "its last run was cut off",
}


def main(*, config: list[Path] | None = None) -> None:
    """Print a line a stage. `config`: the files given to Snakemake's --configfile; config.yaml alone where there are none."""
    files = config or [Path("config.yaml")]
    site = Site(load_config(files))
    print("\n".join(explain(planned_jobs(files), site)))


def planned_jobs(config: Sequence[Path]) -> list[Planned]:
    """The jobs that `snakemake all` would run, roll-ups aside.

    Raises:
        ValueError: with Snakemake's own words, if it does not get that far.
    """
    command = [sys.executable, "-m", "snakemake", "all", "--dry-run", "--profile", str(LOCAL), "--logger-refrad-json"]
    command += ["--configfile", *map(str, config)]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if run.returncode != 0:
        raise ValueError(f"snakemake cannot plan a run:\n{run.stderr.strip()}")
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def explain(jobs: Sequence[Planned], site: Site) -> Iterator[str]:
    """A line for each stage that would run, and one that names those that stay."""
    by_stage: dict[str, list[Planned]] = {}
    for job in jobs:
        by_stage.setdefault(stage_of(job["rule"]), []).append(job)
    stages = ["demo", *site.pages, "report"]
    whole = {stage: sum(one.stage == stage for one in jobs_of(site)) or 1 for stage in stages}
    for stage in sorted(by_stage, key=lambda stage: stages.index(stage) if stage in stages else len(stages)):
        its = by_stage[stage]
        reasons = dict.fromkeys(reason for job in its for reason in _reasons(stage, job, site))
        number = f"{len(its)} of {whole[stage]}" if whole.get(stage, 1) > 1 else "again"
        yield f"{stage:<12}runs ({number}): " + "; ".join(reasons)
    staying = [stage for stage in site.pages if stage not in by_stage]
    if staying:
        yield (
            f"{'stay':<12}{', '.join(staying)}"
            if by_stage
            else "nothing would run: all results are what the config asks for"
        )
    for stage in staying:
        if found := dict.fromkeys(
            change for one in _outputs(stage, site) for change in changes(_before(one), _now(stage, site), site)
        ):
            yield (
                f"{stage:<12}is out of date, but Snakemake's own notes do not say so: {'; '.join(found)};"
                f" run it with --forcerun {_rule_of(stage)}"
            )


def changes(before: Fingerprint | None, now: Fingerprint, site: Site) -> Iterator[str]:
    """What differs between two fingerprints of a stage, in words; nothing if there is none before."""
    if before is None:
        return
    if before.version != now.version:
        yield f"the meaning of its output changed (VERSION {before.version} -> {now.version})"
    for key, old, new in _differences(before.options, now.options):
        yield f"{now.stage}.{key}: {old} -> {new}"
    for role, old, new in _differences(before.files, now.files):
        place = f" ({getattr(site, role)})" if hasattr(site, role) else ""
        yield f"the {role}{place} says something else ({old} -> {new})"
    for key, old, new in _differences(before.models, now.models):
        yield f"llm.{key}: {old} -> {new}"


def stage_of(rule: str) -> str:
    """The stage of a rule: its name without what makes it a rule of shards or deliveries."""
    return rule.removesuffix("_shard").removesuffix("_delivery")


def _rule_of(stage: str) -> str:
    return "index_delivery" if stage == "index" else f"{stage}_shard" if stage in SHARD_STAGES else stage


def _reasons(stage: str, job: Planned, site: Site) -> Iterator[str]:
    """Why Snakemake would run a job. Its reasons stand in one line, divided by semicolons, files behind a colon."""
    for reason in job["reason"].split("; "):
        kind, _, files = reason.partition(": ")
        names = [one for one in files.split(", ") if one]
        if kind.startswith("Params have changed"):
            outputs = _outputs(stage, site, job["wildcards"])
            found = [change for one in outputs for change in changes(_before(one), _now(stage, site), site)]
            yield from found or ["a path, key or number of shards of the delivery changed"]
        elif kind.startswith("Input files updated by another job"):
            yield f"follows from {', '.join(_makers(names))}"
        elif kind.startswith("Updated input files"):
            yield f"{', '.join(_named(names, site))} changed"
        elif kind.startswith("Missing output files"):
            yield "its results are not there"
        else:
            known = [words for start, words in OTHER_REASONS.items() if kind.startswith(start)]
            yield known[0] if known else kind


def _makers(files: Iterable[str]) -> list[str]:
    """The stages that make the files: results/<stage>/..., or the private tables of index, or the demo."""
    parts = [Path(file).parts for file in files]
    return list(
        dict.fromkeys(
            one[1].split(".")[0] if one[0] == "results" else "demo" if one[0] == "demo" else "index" for one in parts
        )
    )


def _named(files: Iterable[str], site: Site) -> list[str]:
    """Files of a delivery by what they are, since their paths belong to the archive; others as they are."""
    known = {
        path: f"the {key} of {one.name}"
        for one in site.config.deliveries
        for key in ("reports", "references", "masks")
        if (path := getattr(one, key))
    }
    return [known.get(file, file) for file in files]


def _outputs(stage: str, site: Site, wildcards: Mapping[str, str] | None = None) -> list[Path]:
    """Where the last results of a stage say what made them, of one job or of all."""
    name = " ".join((wildcards or {}).get(key, "") for key in ("delivery", "shard")).strip()
    return [job.metrics for job in jobs_of(site) if job.stage == stage and (not name or job.name == name)]


def _before(metrics: Path) -> Fingerprint | None:
    try:
        return Fingerprint.parse(json.loads(metrics.read_text(encoding="utf-8"))["fingerprint"])
    except (OSError, ValueError, KeyError):
        return None


def _now(stage: str, site: Site) -> Fingerprint:
    return Fingerprint.parse(site.fingerprint(stage))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Key, old and new value of what differs, sections within sections by dots."""
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from ((f"{key}.{inner}", a, b) for inner, a, b in _differences(old, new))
        elif old != new:
            yield key, _text(old, key in before), _text(new, key in now)


def _text(value: Any, there: bool) -> str:
    return json.dumps(value, ensure_ascii=False).strip('"') if there else "not there"
