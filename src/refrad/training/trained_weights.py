"""The weights that a training changes: parts of the model, embeddings of single tokens, and adapters (LoRA)."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.config import LoraOptions, TrainOptions
from refrad.model.base_model import base_model_of
from refrad.model.processor import GROUNDING_TOKENS
from refrad.model.radgrounder import head_of

__all__ = ["TokenRows", "TrainedWeights", "grounding_token_ids"]

log = logging.getLogger(__name__)

ADAPTER = "default"  # peft's name of the adapters in a model
PLACES_AND_CLASSES = re.compile(r"<(loc\d{4}|seg\d{3})>")


class TrainedWeights:
    """The choice of the weights of a model that are trained; made before the training, merged after it.

    All other weights are frozen. The mask head is trained in any case, if there is one.

    Args:
        model: float32; changed in place. Its class and its forward pass stay.
        processor: of the model.
        options: of stage train.

    Attributes:
        names: of the trained weights. count: number of trained numbers.

    Raises:
        ValueError: if a target of the adapters is no matrix of the language model, their rank is not below its size, or the model has
            no tokens for boxes and masks to train.
    """

    def __init__(
        self, model: PaliGemmaForConditionalGeneration, processor: PaliGemmaProcessor, options: TrainOptions
    ) -> None:
        self.model, self.options = model, options
        self.tokens = grounding_token_ids(processor)
        if "tokens" in options.trained and not self.tokens:
            raise ValueError("train.trained: this model has no tokens for boxes and masks: leave tokens out")
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        if options.model == "tiny" and (options.lora or not {"language", "embeddings"} <= set(options.trained)):
            log.warning("train.model tiny begins with random weights; those that are not trained stay random")
        adapters = (
            _add_adapters(base_model_of(model).language(model), options.lora, options.seed) if options.lora else []
        )
        model.requires_grad_(False)
        for weight in (*adapters, *self._whole_parts()):
            weight.requires_grad_(True)
        if options.frozen_dtype == "bfloat16":
            self._halve_frozen_matrices()
        if "tokens" in options.trained:
            self._separate_token_rows()
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.names = list(trained)
        self.count = sum(weight.numel() for weight in trained.values())

    def merge(self) -> None:
        """Make the model a plain PaliGemma in float32 again, that computes the same."""
        self.model.float()
        embeddings, head = self._embeddings()
        with torch.no_grad():
            if "tokens" in self.options.trained:
                embeddings.weight[self.tokens] = embeddings.token_rows.rows
                if parametrize.is_parametrized(head):
                    if (output := head.parametrizations.weight.original) is not embeddings.weight:
                        output[self.tokens] = head.parametrizations.weight[0].rows
                    parametrize.remove_parametrizations(head, "weight", leave_parametrized=False)
                del embeddings.token_rows
            for parent, name, adapted in list(_adapted_layers(base_model_of(self.model).language(self.model))):
                base = adapted.get_base_layer()
                base.weight += adapted.get_delta_weight(ADAPTER)
                setattr(parent, name, base)
        while self._hooks:
            self._hooks.pop().remove()

    def adapter(self) -> dict[str, Tensor]:
        """The adapters before they are merged, float32 on the CPU, by the name of their matrix in the model and `.lora_A` or `.lora_B`."""
        language = base_model_of(self.model).language(self.model)
        prefix = next(name for name, module in self.model.named_modules() if module is language)
        return {
            f"{prefix}.{name}.{kind}": getattr(module, kind)[ADAPTER].weight.detach().float().cpu().clone()
            for name, module in language.named_modules()
            if hasattr(module, "lora_A")
            for kind in ("lora_A", "lora_B")
        }

    def _embeddings(self) -> tuple[Any, Any]:
        """The modules of the input and of the output embedding, which may share their weight."""
        return self.model.get_input_embeddings(), self.model.get_output_embeddings()

    def _whole_parts(self) -> Iterator[nn.Parameter]:
        """The weights of the parts that are trained as a whole."""
        embeddings, output = self._embeddings()
        base = base_model_of(self.model)
        language = base.language(self.model)
        parts: Mapping[str, Sequence[nn.Module]] = {
            "attention": [module for name, module in language.named_modules() if name.endswith("self_attn")],
            "embeddings": [embeddings, output],
            "projector": base.projector(self.model),
            "tower": base.tower(self.model),
        }
        for part in self.options.trained:
            for module in parts.get(part, ()):
                yield from module.parameters()
        if "language" in self.options.trained:
            words = {id(embeddings.weight), id(output.weight)}
            yield from (weight for weight in language.parameters() if id(weight) not in words)
        if head := head_of(self.model):
            yield from head.parameters()

    def _halve_frozen_matrices(self) -> None:
        """Store frozen matrices as bfloat16, but for those whose products autocast does not make; activations stay as they were."""
        embeddings, _ = self._embeddings()
        for module in self.model.modules():
            if isinstance(module, nn.Linear) or module is embeddings:
                weight: Any = module.weight  # biases are small, and added in either type
                if not weight.requires_grad:
                    weight.data = weight.data.bfloat16()
        if not embeddings.weight.requires_grad:
            self._hooks.append(embeddings.register_forward_hook(lambda _module, _inputs, words: words.float()))

    def _separate_token_rows(self) -> None:
        """Give the embeddings of the tokens of boxes and masks weights apart from those of the frozen words."""
        embeddings, head = self._embeddings()
        rows = TokenRows(embeddings.weight, self.tokens)
        is_tied = head.weight is embeddings.weight
        parametrize.register_parametrization(head, "weight", rows if is_tied else TokenRows(head.weight, self.tokens))
        embeddings.token_rows = rows
        self._hooks.append(embeddings.register_forward_hook(_read_token_rows))


class TokenRows(nn.Module):
    """Trained rows of a frozen embedding.

    Args:
        weight: float [words, width], the embedding.
        tokens: ids of the trained rows, which begin as they are in it.
    """

    def __init__(self, weight: Tensor, tokens: Sequence[int]) -> None:
        super().__init__()
        ids = torch.tensor(tokens, device=weight.device)
        self.rows = nn.Parameter(weight.detach()[ids].float())
        row_of_token = torch.full((len(weight),), -1, device=weight.device)
        row_of_token[ids] = torch.arange(len(ids), device=weight.device)
        self.register_buffer("ids", ids, persistent=False)
        self.register_buffer("row_of_token", row_of_token, persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        """The embedding with these rows, in its dtype."""
        return weight.index_copy(0, self.ids, self.rows.to(weight.dtype))  # type: ignore[arg-type]

    def read(self, tokens: Tensor, others: Tensor, scale: Tensor | float) -> Tensor:
        """Scaled embeddings float32 [..., width] of tokens int64 [...]: of these rows, and `others` for all other tokens."""
        numbers = self.row_of_token[tokens]  # type: ignore[index]
        rows = functional.embedding(numbers.clamp(min=0), self.rows) * scale
        return torch.where((numbers >= 0)[..., None], rows, others.float())


def _read_token_rows(embeddings: Any, inputs: tuple[Tensor], words: Tensor) -> Tensor:
    """Forward hook of the input embedding. Unlike a parametrization it makes neither a copy nor a gradient of the size of the vocabulary."""
    read: Tensor = embeddings.token_rows.read(inputs[0], words, getattr(embeddings, "embed_scale", 1.0))
    return read


def grounding_token_ids(processor: PaliGemmaProcessor) -> list[int]:
    """Ids, in rising order, of the tokens of boxes and masks: tags, <locNNNN> and <segNNN>."""
    vocabulary: Mapping[str, int] = processor.tokenizer.get_vocab()
    return sorted(
        number
        for token, number in vocabulary.items()
        if token in GROUNDING_TOKENS or PLACES_AND_CLASSES.fullmatch(token)
    )


def _adapted_layers(language: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """Each layer with an adapter, after the module that contains it and its name there."""
    for parent in language.modules():
        for name, child in parent.named_children():
            if hasattr(child, "lora_A"):
                yield parent, name, child


def _add_adapters(language: nn.Module, options: LoraOptions, seed: int) -> list[nn.Parameter]:
    """Add adapters in place, with random weights that depend on `seed` only, and return their weights.

    Raises:
        ValueError: if a target is no matrix of the language model, or the rank is not below its size.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise ValueError("train.lora needs the package peft: pip install 'refrad[train]'") from None

    matrices = {name: module for name, module in language.named_modules() if isinstance(module, nn.Linear)}
    chosen: list[str] = []
    for target in options.targets:
        matching = [name for name in matrices if name == target or name.endswith(f".{target}")]
        if not matching:
            endings = ", ".join(dict.fromkeys(name.split(".")[-1] for name in matrices))
            raise ValueError(
                f"train.lora.targets: no matrix of the language model is called {target}; it has {endings}"
            )
        chosen += matching
    side = min(min(matrices[name].weight.shape) for name in chosen)
    if options.rank >= side:
        raise ValueError(f"train.lora.rank is {options.rank}: it must be below the smallest side of a target, {side}")
    config = LoraConfig(
        r=options.rank, lora_alpha=options.alpha, lora_dropout=options.dropout, target_modules=sorted(set(chosen))
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, language, ADAPTER)
    return [weight for name, weight in language.named_parameters() if re.search(r"\.lora_[AB]\.", name)]
