"""The stages of the workflow: one record each, in the order in which they run.

Order, job lists, fingerprinted files, sentences of the pages and sources of the dataset are all derived from these records.
A stage also has a rule (rules/<name>.smk), a module (stages/<name>.py), a section of the config, a test, and a rate in
workflow/rates.yaml unless it trains or draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["DATASET_SOURCES", "SHARD_STAGES", "STAGES", "Stage"]


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: of the stage, its rule, module, command, config section, page and folder of results.
        sentence: its result in one sentence, for pages and `refrad --help`.
        per: a job for each "delivery", each "shard", or one job for the "run".
        files: attributes of `refrad.workflow.site.Site` that name the files which shape its result.
        model_files: as `files`, for files that shape its result only where it uses language models.
        source: whether rows of the dataset carry the digest of its fingerprint.
        named: config section whose `name` distinguishes several results of the stage, such as train.
        metrics: its metrics file under the results, where it is not in a folder of the job.
        optional: whether it runs only where its option `steps` is above 0.
    """

    name: str
    sentence: str
    per: Literal["delivery", "shard", "run"]
    files: tuple[str, ...] = ()
    model_files: tuple[str, ...] = ()
    source: bool = False
    named: str | None = None
    metrics: str = ""
    optional: bool = False

    @property
    def rule(self) -> str:
        """Name of the rule that runs the stage."""
        return self.name if self.per == "run" else f"{self.name}_{self.per}"

    @property
    def metrics_pattern(self) -> str:
        """Path of a job's metrics file under the results, with {delivery}, {shard} or {name} to be filled in."""
        return self.metrics or "/".join([self.name, *self._wildcards, "metrics.json"])

    @property
    def log_pattern(self) -> str:
        """Path of a job's log under the logs, with {delivery}, {shard} or {name} to be filled in."""
        return "/".join([self.name, *self._wildcards]) + ".log"

    @property
    def _wildcards(self) -> tuple[str, ...]:
        """What tells the jobs of the stage apart."""
        if self.per == "run":
            return ("{name}",) if self.named else ()
        return ("{delivery}",) if self.per == "delivery" else ("{delivery}", "{shard}")


_RECORDS = (
    Stage(
        "index",
        "Every file of the delivery, read by its header: grouped into series, or quarantined with a reason.",
        per="delivery",
    ),
    Stage(
        "volumes",
        "One geometry-checked volume for each series, and the place of each image in it.",
        per="shard",
        source=True,
    ),
    Stage("masks", "An anatomical label for every voxel.", per="shard", source=True),
    Stage(
        "structures",
        "The classes in each slice, with area and box.",
        per="shard",
        files=("schema", "norms"),
        source=True,
    ),
    Stage(
        "captions",
        "The sentences of the reports: de-identified, without comparisons, tied to the images they name.",
        per="shard",
        files=("lexicon",),
        model_files=("schema",),
        source=True,
    ),
    Stage(
        "mentions",
        "Verbatim anatomical spans of the captions, and their classes.",
        per="shard",
        files=("schema", "lexicon"),
        source=True,
    ),
    Stage(
        "copies",
        "Copies of volumes, within the delivery and of earlier ones: each volume is used once.",
        per="delivery",
    ),
    Stage(
        "grounded",
        "Captions paired with images: kept where a class that the caption mentions is in the slice.",
        per="shard",
        files=("schema",),
        source=True,
    ),
    Stage("vqa", "Question-answer pairs of the images.", per="shard", files=("schema", "lexicon"), source=True),
    Stage(
        "shards",
        "The dataset: one row for each image that has a caption.",
        per="shard",
        files=("schema",),
        source=True,
        metrics="shards/metrics/{delivery}/{shard}/metrics.json",
    ),
    Stage("card", "The metadata of the dataset, and the check for leakage between the splits.", per="run"),
    Stage(
        "adapt",
        "A SigLIP trained to match captions and images; train takes its vision tower.",
        per="run",
        named="adapt",
        metrics="adapt/{name}.metrics.json",
        optional=True,
    ),
    Stage(
        "train",
        "RadGrounder, trained on the training patients.",
        per="run",
        files=("schema",),
        named="train",
        metrics="train/{name}.metrics.json",
    ),
    Stage(
        "evaluate",
        "RadGrounder on the test patients, and baselines.",
        per="run",
        files=("schema", "scale"),
        named="train",
    ),
    Stage("report", "One page for each stage, the gallery and the index.", per="run", files=("schema",)),
)
STAGES: Mapping[str, Stage] = {stage.name: stage for stage in _RECORDS}
SHARD_STAGES = tuple(stage.name for stage in _RECORDS if stage.per == "shard")
DATASET_SOURCES = tuple(stage.name for stage in _RECORDS if stage.source)
"""Stages whose fingerprints the rows of the dataset carry, in the order of the columns."""
