"""What a run needs from the internet: all of it is there, and whole, before it starts.

A run reaches some of it after days, and downloads nothing itself.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refrad.config.imaging import SEGMENTERS
from refrad.config.language import LLM_TASKS, ModelOptions, tasks_of

if TYPE_CHECKING:
    from refrad.config.config import Config

__all__ = ["PUBLISHERS", "VOCABULARY", "download_findings"]

# Folders that the recipes of workflow/recipes name, and who publishes them on huggingface.co.
PUBLISHERS = {
    "gpt-oss-120b": "openai",
    "gpt-oss-20b": "openai",
    "gemma-3-27b-it": "google",
    "gemma-3-12b-it-GPTQ-4b-128g": "ISTA-DASLab",
    "paligemma2-3b-pt-224": "google",
    "siglip-so400m-patch14-224": "google",
    "embeddinggemma-300m": "google",
}
CONFIGS = ("config.json", "params.json", "modules.json")  # of transformers, of Mistral and of sentence-transformers
INDEX = "model.safetensors.index.json"
LONGEST_POINTER = 1024  # bytes; what Git LFS leaves in place of a file that was not fetched is some 130 long
# vLLM reads prompts of gpt-oss with this vocabulary, which the model's folder lacks, and downloads it where the variable is not set.
VOCABULARY = "o200k_base.tiktoken"
VOCABULARY_FOLDER = "TIKTOKEN_ENCODINGS_BASE"


def download_findings(config: "Config") -> Iterator[str]:
    """A line for each model, network and benchmark of a used option that is missing or incomplete, with the command that gets it."""
    served = dict(_served_models(config))
    keys: dict[str, list[str]] = {}
    for key, folder in (*_trained_models(config), *((key, model.model) for key, model in served.items())):
        keys.setdefault(folder, []).append(key)
    for folder, names in keys.items():
        if fault := _fault_of_folder(Path(folder)):
            yield f"config: {_listed(names)}: {fault}{_download(folder)}"
    yield from _server_findings(served)
    if SEGMENTERS[config.masks.segmenter].reads_weights and config.masks.weights:
        yield from _missing(
            [("masks.weights", config.masks.weights)], "totalseg_download_weights gets them (docs/masks.md)"
        )
    yield from _missing(_benchmarks(config), "refrad public writes it (docs/evaluation.md)")


def _benchmarks(config: "Config") -> Iterator[tuple[str, str]]:
    """Key of the config to file, for the questions to train on and to evaluate on."""
    if config.train.model is None:
        return
    for number, path in enumerate(config.train.public.files):
        yield f"train.public.files.{number}", path
    for number, path in enumerate(config.evaluate.public):
        yield f"evaluate.public.{number}", path


def _missing(paths: Iterable[tuple[str, str]], remedy: str) -> Iterator[str]:
    """A line for each path that is not there."""
    keys: dict[str, list[str]] = {}
    for key, path in paths:
        keys.setdefault(path, []).append(key)
    for path, names in keys.items():
        if not Path(path).exists():
            yield f"config: {_listed(names)}: no such file or folder: {path}: {remedy}"


def _served_models(config: "Config") -> Iterator[tuple[str, ModelOptions]]:
    """Key of the config to model, for the models that RefRad starts itself in this run."""
    roles = {
        f"llm.{task.name}": getattr(config.llm, task.name)
        for task in LLM_TASKS
        if task.option in tasks_of(task.stage, getattr(config, task.stage).model_dump())
        and (task.stage != "evaluate" or config.train.model is not None)
    }
    for entry in config.evaluate.others:
        if entry.model is not None:
            roles[f"llm.vision.{entry.model}"] = config.llm.vision.get(entry.model)
    for key, model in roles.items():
        if model is not None and model.endpoint in ("managed", "shared"):
            yield f"{key}.model", model


def _trained_models(config: "Config") -> Iterator[tuple[str, str]]:
    """Key of the config to folder, for the models that training and evaluation load."""
    if config.evaluate.embedder is not None:
        yield "evaluate.embedder", config.evaluate.embedder
    if config.train.model is None:
        return
    if config.train.model != "tiny":
        yield "train.model", config.train.model
    if config.adapt.steps and config.adapt.model != "tiny":
        yield "adapt.model", config.adapt.model


def _fault_of_folder(folder: Path) -> str:
    """Why a model cannot be read from a folder, or nothing. A path to a file is left to vLLM, which reads some."""
    if not folder.exists():
        return f"no such folder: {folder}"
    if folder.is_file():
        return ""
    if not any((folder / name).is_file() for name in CONFIGS):
        return f"{folder}: no config.json there"
    named = _weights_of(folder / INDEX)
    missing = [path for path in named if not path.is_file() or path.stat().st_size < LONGEST_POINTER]
    return f"{folder}: {len(missing)} of {len(named)} files of weights are missing" if missing else ""


def _weights_of(index: Path) -> list[Path]:
    """The files of weights that a folder must hold, if it has a list of them."""
    values = _read_json(index)
    weights = values.get("weight_map")
    names = weights.values() if isinstance(weights, dict) else ()
    return [index.parent / name for name in sorted({str(name) for name in names})]


def _server_findings(served: dict[str, ModelOptions]) -> Iterator[str]:
    """A line for each Python of a server that is not there, and for a gpt-oss without its vocabulary."""
    pythons: dict[str, list[str]] = {}
    for key, model in served.items():
        if os.sep in model.server.python and not Path(model.server.python).exists():
            pythons.setdefault(model.server.python, []).append(key.replace(".model", ".server.python"))
    for python, names in pythons.items():
        yield f"config: {_listed(names)}: no such file: {python}: install vLLM there (docs/llm.md)"
    wanting = [
        key.replace(".model", ".server.environment")
        for key, model in served.items()
        if _read_json(Path(model.model) / "config.json").get("model_type") == "gpt_oss" and not _has_vocabulary(model)
    ]
    if wanting:
        yield (
            f"config: {_listed(wanting)}: gpt-oss needs {VOCABULARY_FOLDER}, a folder with {VOCABULARY}:"
            " docs/recipes.md has its address"
        )


def _has_vocabulary(model: ModelOptions) -> bool:
    folder = model.server.environment.get(VOCABULARY_FOLDER) or os.environ.get(VOCABULARY_FOLDER)
    return bool(folder) and Path(str(folder), VOCABULARY).is_file()


def _read_json(path: Path) -> dict[str, Any]:
    """The values of a JSON file, or none: who loads the model has more to say about a damaged one."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _download(folder: str) -> str:
    name = Path(folder).name
    if name in PUBLISHERS:
        copies = ' --exclude "original/*" --exclude "metal/*"' if name.startswith("gpt-oss") else ""  # twice its size
        return f": hf download {PUBLISHERS[name]}/{name} --local-dir {folder}{copies}"
    return ": nothing is downloaded in a run, so name the folder of a complete model"


def _listed(keys: list[str]) -> str:
    """Keys of one section, the first in full: llm.rewrite.model and 2 more."""
    return keys[0] + (f" and {len(keys) - 1} more" if len(keys) > 1 else "")
