"""What the rules ask of the config: deliveries, shards, paths and fingerprints. No rule computes any of these itself."""

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from refrad.config import Config, Delivery, check_config, is_demo, prompt_files, tasks_of
from refrad.workflow.fingerprint import SHARD_STAGES, STAGES, compose

__all__ = ["Site", "in_braces"]

# The files, beside its options, that shape what a stage writes: role -> place in the config.
SHAPED_BY: Mapping[str, tuple[str, ...]] = {
    "structures": ("schema", "norms"),
    "mentions": ("schema", "lexicon"),
    "captions": ("lexicon",),
    "grounded": ("schema",),
    "vqa": ("schema", "lexicon"),
    "shards": ("schema",),
    "train": ("schema",),
    "evaluate": ("schema", "scale"),
    "report": ("schema",),
}


class Site:
    """The checked config as the rules see it.

    Raises:
        ConfigError: if the config is wrong; the message has one line a finding.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config: Config = check_config(config)
        self.deliveries: dict[str, Delivery] = {delivery.name: delivery for delivery in self.config.deliveries}
        self.schema: str = self.config.structures.schema_file
        self.norms: str = self.config.structures.norms
        self.lexicon: str = self.config.mentions.lexicon
        self.scale: str = f"{self.config.llm.prompts}/score.yaml"
        self.key: str = self.config.privacy.key
        self.python: str = sys.executable
        adapt = self.config.adapt
        self.towers: list[str] = [f"<results>/adapt/{adapt.name}"] if adapt.steps else []
        self.pages: tuple[str, ...] = tuple(
            stage for stage in STAGES[: STAGES.index("report")] if stage != "adapt" or adapt.steps
        )

    def fingerprint(self, stage: str) -> str:
        """The one string param of a stage's rule; see `refrad.workflow.fingerprint`."""
        options = getattr(self.config, stage).model_dump(mode="json", by_alias=True)
        files: dict[str, str | Path] = {role: getattr(self, role) for role in SHAPED_BY.get(stage, ())}
        tasks = tasks_of(stage, options).values()
        for task in tasks:
            for language, path in prompt_files(Path(self.config.llm.prompts), task).items():
                files[f"prompt {task}.{language}"] = path
        models = {task: getattr(self.config.llm, task).shaping() for task in tasks}
        return compose(stage, options, files, models).text

    @property
    def tested(self) -> Any:
        """A Snakemake params function: ` --tested ...`, the benchmarks to evaluate on that are there, for training's look at leaks.

        It takes `resources`, as that of `llm`: a benchmark that comes later must not train a model anew. Evaluation looks again.
        """

        def text(wildcards: Any, resources: Any) -> str:  # noqa: ARG001
            there = [shlex.quote(path) for path in self.config.evaluate.public if Path(path).exists()]
            return f" --tested {' '.join(there)}" if there else ""

        return text

    def llm(self, stage: str) -> Any:
        """A Snakemake params function: ` --llm ...` for a stage that asks language models, else nothing.

        It takes `resources`, so Snakemake leaves it out of what triggers a rerun: where and how fast a model answers may
        change at any time; what shapes its answers stands in the fingerprint. The resource `llm_server`, of the profile, is
        how Slurm is asked for a shared server.
        """
        options = getattr(self.config, stage).model_dump(mode="json")
        roles = {
            task: getattr(self.config.llm, task).model_dump(mode="json") for task in tasks_of(stage, options).values()
        }
        places = {"prompts": self.config.llm.prompts, "store": self.store("llm"), "servers": self.server_logs}

        def text(wildcards: Any, resources: Any) -> str:
            log = f"{'/'.join([self.place('logs'), stage, *map(str, wildcards)])}"
            submit = resources.get("llm_server", "")
            given = {**places, "log": log, "submit": submit, "roles": roles}
            return f" --llm {shlex.quote(json.dumps(given))}" if roles else ""

        return text

    def place(self, name: str) -> str:
        """The folder that a path variable of the rules stands for, such as "results" or "logs"."""
        return self.config.pathvars.get(name, name)

    @property
    def server_logs(self) -> str:
        """Folder of what shared servers of language models say."""
        return f"{self.place('logs')}/servers"

    @property
    def launcher(self) -> str:
        """How Python starts the training: one process, or one for each GPU."""
        gpus = self.config.train.gpus
        return "-m" if gpus < 2 else f"-m torch.distributed.run --standalone --nproc-per-node {gpus} -m"

    def store(self, stage: str) -> str:
        """Folder of a stage's content-addressed store."""
        return f"{self.config.stores}/{stage}"

    def every_shard(self, pattern: str) -> list[str]:
        """`pattern` with {delivery} and {shard} filled in, once for each shard of each delivery."""
        return [
            pattern.replace("{delivery}", delivery.name).replace("{shard}", str(shard))
            for delivery in self.config.deliveries
            for shard in range(delivery.shards)
        ]

    def every_metrics(self) -> list[str]:
        """The metrics files of all stages before training."""
        return [
            *self.every_delivery("<results>/index/{delivery}/metrics.json"),
            *(
                path
                for stage in SHARD_STAGES
                for path in self.every_shard(f"<results>/{stage}/{{delivery}}/{{shard}}/metrics.json")
            ),
            "<results>/card/metrics.json",
            *(f"{tower}.metrics.json" for tower in self.towers),
        ]

    def brief(self, name: str) -> Any:
        """A Snakemake params function: the paths of the input `name` as the shell writes them, short for any number of shards."""

        def words(wildcards: Any, input: Any) -> str:  # noqa: ARG001 - names that Snakemake looks for
            found = getattr(input, name)
            return in_braces([found] if isinstance(found, str) else found)

        return words

    def every_delivery(self, pattern: str) -> list[str]:
        """`pattern` with {delivery} filled in, once for each delivery."""
        return [pattern.replace("{delivery}", name) for name in self.deliveries]

    def of(self, key: str) -> Any:
        """A Snakemake input or params function that gives one value of the delivery, or nothing where it is null."""

        def value(wildcards: Any) -> Any:
            found = getattr(self.deliveries[wildcards.delivery], key)
            return [] if found is None else found

        return value

    def cohort(self, wildcards: Any) -> list[str]:
        """A Snakemake input function: what says how the demo's delivery was made, for the others nothing."""
        delivery = self.deliveries[wildcards.delivery]
        return [f"demo/{delivery.name}/cohort.json"] if is_demo(delivery) else []

    def flag(self, flag: str, key: str) -> Any:
        """A Snakemake params function: ` --flag value` of the delivery, or nothing where the value is null."""

        def text(wildcards: Any) -> str:
            found = getattr(self.deliveries[wildcards.delivery], key)
            return "" if found is None else f" {flag} {shlex.quote(found)}"

        return text

    def worth_opening(self) -> str:
        """The files that a user wants to see after a run, those that exist."""
        name = self.config.train.name
        files = {
            "results/report/index.html": "the run on one page, with a page for each stage",
            "results/report/gallery.html": "slices with boxes and their sentences",
            "results/shards/README.md": "the card of the dataset; the Parquet files lie below",
            f"results/train/{name}": "the checkpoint, loads with from_pretrained",
            f"results/evaluate/{name}/metrics.json": "its evaluation on the test patients",
        }
        found = [f"  {path:<40} {what}" for path, what in files.items() if Path(path).exists()]
        return "\n".join(["", "worth opening:", *found]) if found else ""


def in_braces(paths: Sequence[str]) -> str:
    """Paths as words of bash, those of consecutive shards as one: a/0/x a/1/x is a/{0..1}/x.

    The kernel takes no command of more than 128 KB, which the paths of some 250 shards pass.
    """
    words: list[str] = []
    for (before, after), numbers in _runs(paths):
        if not numbers:
            words.append(shlex.quote(before))
        else:
            words.append(f"{shlex.quote(before)}{{{numbers[0]}..{numbers[-1]}}}{shlex.quote(after)}")
    return " ".join(words)


def _runs(paths: Sequence[str]) -> Iterator[tuple[tuple[str, str], list[int]]]:
    """What stands before and after the number of a shard, and the numbers that follow each other; no number: none."""
    last: tuple[tuple[str, str], list[int]] | None = None
    for path in paths:
        found = re.fullmatch(r"(.*/)(\d+)(/[^/]+)", path)
        around, number = ((found[1], found[3]), int(found[2])) if found else ((path, ""), None)
        if last and number is not None and last[0] == around and last[1] and last[1][-1] == number - 1:
            last[1].append(number)
            continue
        if last:
            yield last
        last = around, [] if number is None else [number]
    if last:
        yield last
