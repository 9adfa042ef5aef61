"""The whole config: reading, merging and checking its files."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from refrad.config.adaptation import AdaptOptions
from refrad.config.dataset import CardOptions, CopiesOptions, GroundedOptions, ReportOptions, ShardsOptions
from refrad.config.deliveries import Delivery, is_demo
from refrad.config.downloads import download_findings
from refrad.config.evaluation import EvaluateOptions
from refrad.config.imaging import (
    DemoOptions,
    IndexOptions,
    MasksOptions,
    StructuresOptions,
    VolumesOptions,
)
from refrad.config.language import LLM_TASKS, CaptionsOptions, LlmOptions, MentionsOptions, VqaOptions, tasks_of
from refrad.config.privacy import Privacy
from refrad.config.public_sets import borrowed_terms, untested_findings
from refrad.config.secrets import is_secret
from refrad.config.section import Section, current_key, section_at
from refrad.config.site_data import demo_findings, fill_in_demo, private_findings
from refrad.config.training import TrainOptions

__all__ = ["Config", "ConfigError", "check_config", "load_config"]

FIRST = "; name config.yaml before your own file: it holds the defaults"
LONGEST_SHOWN = 32  # characters of a wrong value that a message repeats


class ConfigError(ValueError):
    """The config is wrong; the message has one line a finding."""


class Config(Section):
    """The whole config."""

    deliveries: list[Delivery] = Field(
        min_length=1, description="Exports of the archive; append new ones and never change old ones."
    )
    stores: str = Field(
        description="Folder of volumes, label volumes and model answers, stored under the digest of their inputs; runs may "
        "share it."
    )
    privacy: Privacy = Field(
        description="Files that link pseudonyms to the archive, outside of results and readable by their owner only: "
        "docs/privacy.md."
    )
    demo: DemoOptions = Field(
        description="Synthetic cohort, written to demo/<delivery>; your own deliveries do not use it."
    )
    llm: LlmOptions = Field(
        description="Language model for each role, or null; keys of a model and example settings: docs/llm.md."
    )
    index: IndexOptions = Field(
        description="Splits, policies for images that are not plain slices, and limits of the header reader: "
        "docs/volumes.md."
    )
    volumes: VolumesOptions = Field(
        description="Geometry checks and limits of the conversion to volumes: docs/volumes.md."
    )
    masks: MasksOptions = Field(description="Segmentation of the volumes: docs/masks.md.")
    structures: StructuresOptions = Field(
        description="Classes and boxes in each slice, and plausibility of the labels: docs/masks.md."
    )
    captions: CaptionsOptions = Field(description="Report sentences: docs/captions.md.")
    mentions: MentionsOptions = Field(description="Anatomical mentions in the captions: docs/mentions.md.")
    copies: CopiesOptions = Field(description="Copies of volumes: docs/volumes.md.")
    grounded: GroundedOptions = Field(description="Pairing of captions and images: docs/grounding.md.")
    vqa: VqaOptions = Field(description="Question-answer pairs: docs/dataset.md.")
    shards: ShardsOptions = Field(description="Images in the dataset: docs/dataset.md.")
    card: CardOptions = Field(description="Dataset metadata, in files next to the shards: docs/dataset.md.")
    adapt: AdaptOptions = Field(
        description="Optional contrastive adaptation of the vision tower to the captions, before train: docs/training.md."
    )
    train: TrainOptions = Field(description="Training of RadGrounder: docs/training.md.")
    evaluate: EvaluateOptions = Field(description="Evaluation on the test patients: docs/evaluation.md.")
    report: ReportOptions = Field(description="Report pages: docs/running.md.")
    pathvars: dict[str, str] = Field(
        default_factory=dict,
        description="Path variables of Snakemake, such as results and logs; only where these folders are renamed.",
    )

    @model_validator(mode="after")
    def names_are_unique(self) -> "Config":
        """Two deliveries of one name would share their results."""
        names = [delivery.name for delivery in self.deliveries]
        if len(set(names)) < len(names):
            raise ValueError("two deliveries have the same name")
        return self

    @model_validator(mode="after")
    def tower_sizes_agree(self) -> "Config":
        """Train takes the vision tower that adapt makes, so their images have one size."""
        if self.adapt.steps and self.adapt.image_size != self.train.image_size:
            raise ValueError(
                f"adapt.image_size is {self.adapt.image_size}, and train.image_size {self.train.image_size}: the same tower"
                " cannot take both"
            )
        return self


def load_config(paths: Sequence[Path]) -> dict[str, Any]:
    """Config files, later ones over earlier ones key by key, as Snakemake's --configfile does. Not checked yet.

    Raises:
        ConfigError: if a file is not there or not YAML with keys. It names the file and the line, and never the content.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            advice = "start this in the folder of the Snakefile, or name the config files"
            raise ConfigError(f"config: {path}: {(error.strerror or 'cannot be read').lower()}: {advice}") from None
        except yaml.MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            advice = "check the indentation (blanks, no tabs), brackets, quotes and colons there and just above"
            raise ConfigError(f"config: {path}{line}: cannot be read as YAML: {advice}") from None
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
            raise ConfigError(f"config: {path}: cannot be read as YAML: write it as UTF-8 text") from None
        if not isinstance(values, dict):
            raise ConfigError(f"config: {path}: holds no keys such as `train:`")
        merged = _overlay(merged, values)
    return merged


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `above`, and those of `below` under keys that `above` lacks, section by section."""
    return {
        key: _overlay(below[key], above[key])
        if isinstance(below.get(key), dict) and isinstance(above.get(key), dict)
        else above.get(key, below.get(key))
        for key in {**below, **above}
    }


def check_config(config: Mapping[str, Any], *, downloads: bool = True) -> Config:
    """Check a parsed config.yaml. Without `downloads` models and other files from the internet may still be missing.

    Raises:
        ConfigError: naming each wrong key, value or path, and its position.
    """
    try:
        checked = Config.model_validate(dict(config))
    except ValidationError as error:
        lines = (_sentence(finding) for finding in error.errors())
        raise ConfigError("\n".join(line for line in lines if line)) from None
    sets = [delivery.public_set for delivery in checked.deliveries]
    problems = [
        *_missing_paths(checked),
        *_missing_models(checked),
        *(download_findings(checked) if downloads else ()),
        *demo_findings(checked),
        *private_findings(checked),
        *untested_findings(sets, checked.train.model is not None),
        *borrowed_terms(sets, checked.card.terms),
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    return fill_in_demo(checked)


def _sentence(finding: ErrorDetails) -> str | None:
    """One line for a finding of pydantic: key, finding, and the value in the config. None for a key that has its old name."""
    path = finding["loc"]
    key = ".".join("..." if is_secret(str(part)) else str(part) for part in path) or "top level"
    match finding["type"]:
        case "extra_forbidden" if (name := current_key(Config, path)) is not None:
            return f"config: {key}: is now called {'.'.join(str(part) for part in (*path[:-1], name))}"
        case "extra_forbidden":
            return f"config: {key}: unknown key{_nearest(path)}"
        case "missing" if any(current_key(Config, (*path[:-1], name)) == path[-1] for name in finding["input"]):
            return None
        case "missing":
            return f"config: {key}: missing{FIRST * (len(path) == 1)}"
        case _:
            message = re.sub(r"^Value error, ", "", finding["msg"])
            given = str(finding["input"])
            # A secret may be pasted below llm, and anywhere else.
            hidden = (
                path[:1] == ("llm",) or path == ("privacy", "key") or is_secret(given) or len(given) > LONGEST_SHOWN
            )
            value = "" if hidden or isinstance(finding["input"], dict | list) else f" (given: {finding['input']!r})"
            return f"config: {key}: {message[0].lower()}{message[1:]}{value}"


def _nearest(path: Sequence[str | int]) -> str:
    """The known key that resembles an unknown one, as a question, or nothing."""
    *parents, key = path
    section: type[Section] | None = Config
    for parent in parents:
        section = section_at(section, str(parent)) if section and isinstance(parent, str) else section
    names = difflib.get_close_matches(str(key), section.model_fields if section else (), n=1)
    return f"; did you mean {'.'.join(map(str, (*parents, names[0])))}?" if names else ""


def _missing_paths(config: Config) -> list[str]:
    """Findings about paths of a site that must exist before a run. The workflow itself makes the files of the demo."""
    paths = {
        "structures.schema": config.structures.schema_file,
        "structures.norms": config.structures.norms,
        "mentions.lexicon": config.mentions.lexicon,
    }
    for number, entry in enumerate(config.evaluate.others):
        paths[f"evaluate.others.{number}.prompts"] = entry.prompts
        if entry.folder is not None:
            paths[f"evaluate.others.{number}.folder"] = entry.folder
    if config.evaluate.bertscore_model is not None:
        paths["evaluate.bertscore_model"] = config.evaluate.bertscore_model
    for number, delivery in enumerate(config.deliveries):
        if is_demo(delivery):
            continue
        if delivery.dicom is not None:
            paths[f"deliveries.{number}.dicom"] = delivery.dicom
        if delivery.volumes is not None:
            paths[f"deliveries.{number}.volumes.folder"] = delivery.volumes.folder
            if delivery.volumes.table is not None:
                paths[f"deliveries.{number}.volumes.table"] = delivery.volumes.table
        paths[f"deliveries.{number}.reports"] = delivery.reports
        for key in ("references", "masks", "mask_table"):
            if (value := getattr(delivery, key)) is not None:
                paths[f"deliveries.{number}.{key}"] = value
    return [f"config: {key}: no such file or folder: {path}" for key, path in paths.items() if not Path(path).exists()]


def _missing_models(config: Config) -> list[str]:
    """Findings about language models: a chosen backend without a model, a judge without sentences to judge."""
    tasks = tasks_of("captions", config.captions.model_dump())
    idle = "judge" in tasks and not {"rewrite", "translate"} & tasks.keys()
    unknown = [
        f"config: evaluate.others.{number}.model: needs a model of this name in llm.vision: docs/llm.md"
        for number, entry in enumerate(config.evaluate.others)
        if entry.model is not None and entry.model not in config.llm.vision
    ]
    return (
        ["config: captions.judge: judges what models rewrite or translate, and none does"] * idle
        + unknown
        + [
            f"config: {task.stage}.{task.option}: needs a model in llm.{task.name}: docs/llm.md"
            for task in LLM_TASKS
            if task.option in tasks_of(task.stage, getattr(config, task.stage).model_dump())
            and getattr(config.llm, task.name) is None
        ]
    )
