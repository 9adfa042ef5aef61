"""A check that a model takes the image that it is given, before anything is trained or answered with it."""

from typing import Any

import torch
import transformers
from torch import nn
from transformers import PaliGemmaForConditionalGeneration

from refrad.model.forward import encode

__all__ = ["check_image_input"]


class _Reached(Exception):
    """The language model was reached with these embeddings."""

    def __init__(self, embeddings: torch.Tensor) -> None:
        self.embeddings = embeddings


@torch.no_grad()
def check_image_input(model: PaliGemmaForConditionalGeneration) -> None:
    """Refuse a transformers that drops the image: PaliGemma of versions below 5.18 takes any argument and ignores this one.

    Two different images must give the language model different inputs. Its layers do not run, so the check costs two passes of
    the vision tower. torch's random numbers stay unchanged. Other base models are not checked.

    Raises:
        ValueError: if the installed transformers ignores the image.
    """
    if model.config.model_type != "paligemma":
        return
    vision: Any = model.config.vision_config
    patches = (vision.image_size // vision.patch_size) ** 2
    ids = torch.full((2, patches + 1), model.config.image_token_id, device=model.device)
    ids[:, -1] = 0  # a word: padding
    pixels = torch.randn(2, 3, vision.image_size, vision.image_size, generator=torch.Generator().manual_seed(0))
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": torch.zeros_like(ids),
        "pixel_values": pixels.to(model.device, model.dtype),
    }

    def stop(_module: nn.Module, _args: Any, arguments: dict[str, Any]) -> None:
        raise _Reached(arguments["inputs_embeds"])

    hook = model.model.language_model.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with torch.compiler.set_stance("force_eager"):  # a block mask of flex attention is not worth compiling for this
            encode(model, inputs)
    except _Reached as reached:
        first, second = reached.embeddings
        if not first.equal(second):
            return
    finally:
        hook.remove()
    raise ValueError(
        f"transformers {transformers.__version__} ignores the image of a PaliGemma: two images give one result; "
        "install transformers 5.23 or newer, as requirements.lock has it"
    )
