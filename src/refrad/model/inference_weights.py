"""A trained model's weights for inference: in float32, in bfloat16, or with the layers of its language model in 8 bits."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from refrad.model.radgrounder import DTYPES, load_model

__all__ = ["COMPUTE_DTYPES", "UNQUANTIZED", "check_compute_dtype", "load_for_inference"]

COMPUTE_DTYPES = (*DTYPES, "int8")
# Parts that stay in bfloat16 under int8. The head is the embedding of the words, which includes the coordinates: it is a look-up table
# for the input, and its rows differ little between neighbouring coordinates. Tower and projector are 14 % of the 3B model's weights, and
# the mask head draws from their output.
UNQUANTIZED = ("lm_head", "model.vision_tower", "model.multi_modal_projector", "model.visual")


def check_compute_dtype(name: str) -> None:
    """Refuse a type of weights that does not exist, or whose package is missing.

    Raises:
        ValueError: in one line, with the remedy.
    """
    if name not in COMPUTE_DTYPES:
        raise ValueError(
            f"compute dtype is {name}: it must be {', '.join(COMPUTE_DTYPES[:-1])} or {COMPUTE_DTYPES[-1]}"
        )
    if name == "int8" and find_spec("torchao") is None:
        raise ValueError("compute dtype int8 needs the package torchao: pip install 'refrad[int8]', or use bfloat16")


def load_for_inference(folder: Path, processor: Any, compute_dtype: str) -> Any:
    """The model of a folder that stage train made; its mask head is float32 in any case.

    Args:
        folder: with config.json, weights and tokenizer.
        processor: that of the folder.
        compute_dtype: of weights and products. "int8": the linear layers of the language model have weights of 8 bits with a scale a
            row; products, and all other weights, are bfloat16.

    Raises:
        ValueError: as `check_compute_dtype`.
    """
    check_compute_dtype(compute_dtype)
    if compute_dtype == "int8":
        return load_model(folder, processor, dtype=torch.bfloat16, quantization=_eight_bits())
    return load_model(folder, processor, dtype=DTYPES[compute_dtype])


def _eight_bits() -> Any:
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import TorchAoConfig

    return TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert=list(UNQUANTIZED))
