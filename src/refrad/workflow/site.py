"""The config as the rules use it: deliveries, shards, paths and fingerprints. No rule computes any of these itself."""

import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from refrad.config import Config, ConfigError, Delivery, ModelOptions, check_config, is_demo, prompt_files, tasks_of
from refrad.core.private_files import close_to_others, only_for_the_owner
from refrad.core.types import SPLITS
from refrad.workflow.fingerprint import compose
from refrad.workflow.site_choice import SiteChoice
from refrad.workflow.site_images import SiteImages
from refrad.workflow.stages import STAGES
from refrad.workflow.training_job import TrainingJob, cpus_of_process

__all__ = ["Site", "in_braces"]


class Site:
    """The checked config as the rules use it; without `downloads` models and other files from the internet may be missing.

    Attributes:
        config: the checked config.
        deliveries: name to delivery.
        schema, norms, lexicon, scale: paths of files that shape results (`Stage.files`).
        key: path of the secret key.
        choice: the lists that choose images.
        delivered: the images of the deliveries, DICOM or NIfTI.
        python: the interpreter that runs the stages.
        training: the processes and resources of rule train.
        adaptation_cpus: CPUs of rule adapt.
        trains: whether a model is trained and evaluated; without train.model the run ends with the dataset.
        towers: the folder of the adapted vision tower, or nothing where none is trained.
        pages: names of the stages that run before the report, in order: `dataset_pages`, then `model_pages`.
        images: paths of the files of the dataset, split by split: all rules that read it take these.
        card, croissant: paths of the dataset card and of the list of the files.
        former: folder of the files of former deliveries and shards.

    Raises:
        ConfigError: if the config is wrong; the message has one line a finding.
    """

    def __init__(self, config: Mapping[str, Any], *, downloads: bool = True) -> None:
        self.config: Config = check_config(config, downloads=downloads)
        self.deliveries: dict[str, Delivery] = {delivery.name: delivery for delivery in self.config.deliveries}
        self.schema: str = self.config.structures.schema_file
        self.norms: str = self.config.structures.norms
        self.lexicon: str = self.config.mentions.lexicon
        self.scale: str = f"{self.config.llm.prompts}/score.yaml"
        self.key: str = self.config.privacy.key
        self.choice = SiteChoice(self.config.index)
        self.delivered = SiteImages(self.deliveries)
        self.python: str = sys.executable
        self.training = TrainingJob(self.config.train)
        self.adaptation_cpus: int = cpus_of_process(self.config.adapt)
        self.trains: bool = self.config.train.model is not None
        adapt = self.config.adapt
        self.towers: list[str] = [f"<results>/adapt/{adapt.name}"] if adapt.steps and self.trains else []
        names = [
            name
            for name, stage in STAGES.items()
            if name != "report" and not (stage.optional and getattr(self.config, name).steps == 0)
        ]
        self.card: str = f"{self.folder('results')}/shards/README.md"
        self.croissant: str = f"{self.folder('results')}/shards/croissant.json"
        self.former: str = f"{self.folder('results')}/former"
        self.images: list[str] = [
            path
            for split in SPLITS
            for path in self.every_shard(f"<results>/shards/data/{{delivery}}/{{shard}}/{split}.parquet")
        ]
        last = names.index("card") + 1
        self.dataset_pages: tuple[str, ...] = tuple(names[:last])
        self.model_pages: tuple[str, ...] = tuple(names[last:]) if self.trains else ()
        self.pages: tuple[str, ...] = self.dataset_pages + self.model_pages

    def fingerprint(self, stage: str) -> str:
        """The one string param of a stage's rule; see `refrad.workflow.fingerprint`."""
        section = getattr(self.config, stage)
        options = section.model_dump(mode="json", by_alias=True, exclude=set(section.PRIVATE))
        tasks = tasks_of(stage, options).values()
        roles = STAGES[stage].files + (STAGES[stage].model_files if tasks else ())
        files: dict[str, str | Path] = {role: getattr(self, role) for role in roles}
        for task in tasks:
            for language, path in prompt_files(Path(self.config.llm.prompts), task).items():
                files[f"prompt {task}.{language}"] = path
        models = {task: getattr(self.config.llm, task).shaping() for task in tasks}
        if stage == "evaluate":
            for entry in self.config.evaluate.others:
                files[f"prompts of {entry.name}"] = entry.prompts
            models |= {role: model.shaping() for role, model in self.vision.items()}
        return compose(
            stage, options, files, models, self.choice.digests(Path(self.key)) if stage == "index" else {}
        ).text

    @property
    def vision(self) -> dict[str, ModelOptions]:
        """Role to model, for the models of servers in evaluate.others."""
        used = [entry for entry in self.config.evaluate.others if entry.model is not None]
        return {entry.role: self.config.llm.vision[entry.model or ""] for entry in used}

    @property
    def tested(self) -> Any:
        """A Snakemake params function: ` --tested ...`, the benchmarks that exist, for the leakage check of training.

        It takes `resources`, as that of `llm`: a benchmark that is added later must not train a model anew. Evaluation
        checks again.
        """

        def text(wildcards: Any, resources: Any) -> str:  # noqa: ARG001
            paths = [shlex.quote(path) for path in self.config.evaluate.public if Path(path).exists()]
            return f" --tested {' '.join(paths)}" if paths else ""

        return text

    def llm(self, stage: str) -> Any:
        """A Snakemake params function: ` --llm ...` for a stage that uses language models, else nothing.

        It takes `resources`, so Snakemake leaves it out of the triggers of a rerun: endpoint and speed of a model may
        change at any time; the options that shape its answers are in the fingerprint. The resource `llm_server` of the
        profile holds the options of sbatch for a shared server.
        """
        options = getattr(self.config, stage).model_dump(mode="json")
        roles = {
            task: getattr(self.config.llm, task).model_dump(mode="json") for task in tasks_of(stage, options).values()
        }
        if stage == "evaluate":
            roles |= {role: model.model_dump(mode="json") for role, model in self.vision.items()}
        folders = {"prompts": self.config.llm.prompts, "store": self.store("llm"), "servers": self.server_logs}

        def text(wildcards: Any, resources: Any) -> str:
            log = f"{'/'.join([self.folder('logs'), stage, *map(str, wildcards)])}"
            submit = resources.get("llm_server", "")
            settings = {**folders, "log": log, "submit": submit, "roles": roles}
            return f" --llm {shlex.quote(json.dumps(settings))}" if roles or options.get("others") else ""

        return text

    def close_private_folder(self) -> None:
        """Close the private folder to others, if it exists: an earlier run, or a copy, may have left it open.

        Raises:
            ConfigError: if the folder holds the run itself, or cannot be closed.
        """
        private = Path(self.config.privacy.folder)
        if Path.cwd().is_relative_to(private.resolve()):
            raise ConfigError("config: privacy.folder: holds the whole run: name a folder in it, such as private")
        try:
            if private.exists():
                close_to_others(private)
        except (OSError, ValueError) as error:
            raise ConfigError(f"config: privacy.folder: {error}") from None

    def make_private_folder(self) -> None:
        """Make the private folder and those of the deliveries in it, closed to others: Snakemake would make open ones."""
        with only_for_the_owner():
            for name in self.deliveries:
                Path(self.config.privacy.folder, name).mkdir(parents=True, exist_ok=True)

    def folder(self, name: str) -> str:
        """The folder of a path variable of the rules, such as "results" or "logs"."""
        return self.config.pathvars.get(name, name)

    @property
    def server_logs(self) -> str:
        """Folder of the logs of shared language model servers."""
        return f"{self.folder('logs')}/servers"

    def store(self, stage: str) -> str:
        """Folder of a stage's content-addressed store."""
        return f"{self.config.stores}/{stage}"

    def every_delivery(self, pattern: str) -> list[str]:
        """`pattern` with {delivery} filled in, once for each delivery."""
        return [pattern.replace("{delivery}", name) for name in self.deliveries]

    def every_shard(self, pattern: str) -> list[str]:
        """`pattern` with {delivery} and {shard} filled in, once for each shard of each delivery."""
        return _of_shards(pattern, self.config.deliveries)

    def so_far(self, pattern: str) -> Any:
        """A Snakemake input function: `every_shard` of the deliveries up to that of the job, in the order of the config.

        Results that compare deliveries stay as they are when a delivery is appended.
        """

        def paths(wildcards: Any) -> list[str]:
            last = list(self.deliveries).index(wildcards.delivery)
            return _of_shards(pattern, self.config.deliveries[: last + 1])

        return paths

    def every_metrics(self, stages: Iterable[str]) -> list[str]:
        """The metrics files of stages, without that of evaluate, which is no tally."""
        paths = []
        for name in stages:
            stage = STAGES[name]
            if name == "evaluate":
                continue
            pattern = f"<results>/{stage.metrics_pattern}"
            if stage.named:
                pattern = pattern.replace("{name}", getattr(self.config, stage.named).name)
            match stage.per:
                case "delivery":
                    paths += self.every_delivery(pattern)
                case "shard":
                    paths += self.every_shard(pattern)
                case "run":
                    paths.append(pattern)
        return paths

    def brief(self, name: str) -> Any:
        """A Snakemake params function: the paths of the input `name` for the shell, short for any number of shards."""

        def words(wildcards: Any, input: Any) -> str:  # noqa: ARG001 - names that Snakemake looks for
            paths = getattr(input, name)
            return in_braces([paths] if isinstance(paths, str) else paths)

        return words

    @property
    def model_flags(self) -> Any:
        """A Snakemake params function: the flags of the report for the inputs of training and evaluation."""

        def text(wildcards: Any, input: Any) -> str:  # noqa: ARG001 - names that Snakemake looks for
            files = {"adaptation": " ".join(input.towers), "training": f"{input.checkpoint}/training.json"}
            files |= {"evaluation": input.evaluation, "predictions": input.predictions}
            return "".join(f" --{flag} {shlex.quote(path)}" for flag, path in files.items() if path)

        return text

    def of(self, key: str) -> Any:
        """A Snakemake input or params function that gives one value of the delivery, or nothing where it is null."""

        def value(wildcards: Any) -> Any:
            setting = getattr(self.deliveries[wildcards.delivery], key)
            return [] if setting is None else setting

        return value

    def cohort(self, wildcards: Any) -> list[str]:
        """A Snakemake input function: the cohort file of the demo's delivery, for the others nothing."""
        delivery = self.deliveries[wildcards.delivery]
        return [f"demo/{delivery.name}/cohort.json"] if is_demo(delivery) else []

    def flag(self, flag: str, key: str) -> Any:
        """A Snakemake params function: ` --flag value` of the delivery, or nothing where the value is null."""

        def text(wildcards: Any) -> str:
            value = getattr(self.deliveries[wildcards.delivery], key)
            return "" if value is None else f" {flag} {shlex.quote(value)}"

        return text


def _of_shards(pattern: str, deliveries: Sequence[Delivery]) -> list[str]:
    return [
        pattern.replace("{delivery}", delivery.name).replace("{shard}", str(shard))
        for delivery in deliveries
        for shard in range(delivery.shards)
    ]


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
    """The text before and after the number of a shard, and the consecutive numbers; a path without a number: none."""
    last: tuple[tuple[str, str], list[int]] | None = None
    for path in paths:
        match = re.fullmatch(r"(.*/)(\d+)(/[^/]+)", path)
        around, number = ((match[1], match[3]), int(match[2])) if match else ((path, ""), None)
        if last and number is not None and last[0] == around and last[1] and last[1][-1] == number - 1:
            last[1].append(number)
            continue
        if last:
            yield last
        last = around, [] if number is None else [number]
    if last:
        yield last
