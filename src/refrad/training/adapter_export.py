"""The trained adapter as a folder of peft, for the model that the training began with."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, PaliGemmaForConditionalGeneration

from refrad.config import LoraOptions

__all__ = ["ADAPTER_FOLDER", "Adapter", "write_adapter"]

ADAPTER_FOLDER = "adapter"  # inside a checkpoint
PREFIX = "base_model.model."  # of names in peft's files


@dataclass(frozen=True)
class Adapter:
    """What a training changed, where it can be told apart from the model that it began with.

    matrices: float32, by the name of the adapted matrix in the model and `.lora_A` or `.lora_B`. options: of the adapters.
    tokens: ids of the tokens of boxes and masks. modules: names of the modules that differ as a whole.
    """

    matrices: Mapping[str, Tensor]
    options: LoraOptions
    tokens: Sequence[int]
    modules: Sequence[str]


def write_adapter(adapter: Adapter, model: PaliGemmaForConditionalGeneration, base: Path, folder: Path) -> bool:
    """Write a folder that `PeftModel.from_pretrained` loads onto the model of the folder `base`.

    Args:
        adapter: before it was merged.
        model: after the training and merged: of its embeddings the rows of the tokens are written, of its modules those that differ.
        base: folder of the model that the training began with; its name, without the path, is in the result.
        folder: to write.

    Returns:
        False, without writing, if the vocabulary of `base` had to grow: the adapter does not fit it.
    """
    from peft import LoraConfig

    words: Any = model.get_input_embeddings().weight
    if AutoConfig.from_pretrained(base, local_files_only=True).get_text_config().vocab_size < len(words):
        return False
    targets = {re.sub(r"\d+", r"\\d+", re.escape(name.rpartition(".lora_")[0])) for name in adapter.matrices}
    embedding, head = (
        next(name for name, module in model.named_modules() if module is embeddings)
        for embeddings in (model.get_input_embeddings(), model.get_output_embeddings())
    )
    tensors = {f"{name}.weight": value for name, value in adapter.matrices.items()}
    if adapter.tokens:
        tensors[f"{embedding}.token_adapter.trainable_tokens_delta"] = words[adapter.tokens]
    for module in adapter.modules:
        tensors |= {f"{module}.{name}": value for name, value in model.get_submodule(module).state_dict().items()}
    config = LoraConfig(
        base_model_name_or_path=base.name,
        task_type="CAUSAL_LM",
        r=adapter.options.rank,
        lora_alpha=adapter.options.alpha,
        lora_dropout=adapter.options.dropout,
        target_modules="|".join(sorted(targets)),  # a pattern: the tower has matrices of the same names
        modules_to_save=list(adapter.modules) or None,
        trainable_token_indices={name: list(adapter.tokens) for name in (embedding, head)} if adapter.tokens else None,
        inference_mode=True,
    )
    config.save_pretrained(str(folder))
    contiguous = {PREFIX + name: value.detach().float().cpu().contiguous() for name, value in tensors.items()}
    save_file(contiguous, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return True
