"""Base models: what RadGrounder needs of a vision-language model, with one implementation for each architecture.

The `model_type` in the config.json of a folder selects the implementation, whose module is imported only then. Its processor is called as
PaliGemma's is (images, text, suffix), so batches and prompts are the same for all; an implementation answers for the rest.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import LogitsProcessor, PreTrainedConfig

from refrad.config import TrainOptions

__all__ = ["BASE_MODELS", "BaseModel", "base_model", "base_model_of", "base_model_of_type"]

BASE_MODELS = {"paligemma": "refrad.model.paligemma", "qwen3_vl": "refrad.model.qwen3_vl"}  # model type to module


class BaseModel(Protocol):
    """An architecture.

    For model cards: `title` is its name, `licence` the licence of its published weights, `tokens` a sentence on its vocabulary, and
    `loading` the lines of Python that load a checkpoint with transformers.
    """

    title: str
    licence: str
    tokens: str
    loading: tuple[str, ...]

    def check_options(self, options: TrainOptions, folder: Path) -> None:
        """Raise a ValueError that names the first option of stage train that the model in a folder does not support."""

    def load_processor(self, folder: Path, image_size: int | None = None) -> Any:
        """The processor of a folder, for square images of `image_size` px, or of the size that the folder states.

        Raises:
            ValueError: if the folder has no such processor, or the model takes no images of that size.
        """

    def load_model(
        self, folder: Path, processor: Any, attention: str, dtype: torch.dtype, quantization: Any = None
    ) -> Any:
        """The model of a folder; see `refrad.model.radgrounder.load_model`."""

    def untrained(self, config: Any, processor: Any, seed: int) -> Any:
        """A model of a configuration with random float32 weights that depend on `seed` only."""

    def image_side(self, processor: Any) -> int:
        """Width and height of the model's images, px."""

    def box_format(self, coordinates: str) -> str:
        """How the model writes boxes, see `refrad.model.box_formats`; `coordinates` is the option of stage train."""

    def describe_boxes(self, coordinates: str) -> str:
        """The form of boxes in an answer, for model cards."""

    def tower(self, model: Any) -> Sequence[nn.Module]:
        """The modules of the vision tower, without those that map its output to the width of the language model."""

    def projector(self, model: Any) -> Sequence[nn.Module]:
        """The modules that map the tower's output to the width of the language model."""

    def language(self, model: Any) -> nn.Module:
        """The language model with its input embeddings, without the output layer."""

    def encode(self, model: Any, inputs: dict[str, Tensor]) -> tuple[Tensor | None, Tensor]:
        """See `refrad.model.forward.encode`; None if the tower's output has no place for each patch that a mask head could read."""

    def grammar(self, processor: Any) -> list[LogitsProcessor]:
        """What keeps the tags of a generated answer well-formed."""


def base_model(folder: Path) -> BaseModel:
    """The base model in a folder.

    Raises:
        ValueError: if the folder has no config.json, a damaged one, or one of another architecture.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder}: no config.json; name a folder with a PaliGemma 2 or a Qwen3-VL")
    try:
        config, _ = PreTrainedConfig.get_config_dict(folder, local_files_only=True)
    except OSError:
        raise ValueError(f"{folder}: its config.json is no JSON; copy the model again") from None
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type not in BASE_MODELS:
        raise ValueError(f"{folder}: holds a model of type {model_type}; known types: {', '.join(BASE_MODELS)}")
    return base_model_of_type(str(model_type))


def base_model_of(model: Any) -> BaseModel:
    """The architecture of a loaded model."""
    return base_model_of_type(str(model.config.model_type))


def base_model_of_type(model_type: str) -> BaseModel:
    """The architecture of a name among `BASE_MODELS`."""
    implementation: BaseModel = importlib.import_module(BASE_MODELS[model_type]).BASE_MODEL
    return implementation
