"""BERTScore by a local encoder (Zhang et al., ICLR 2020, arXiv 1904.09675)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["BertScore"]

BATCH = 32  # texts
LONGEST = 512  # word pieces, of models without a limit


class BertScore:
    """F1 of BERTScore: the mean best cosine of each word piece with those of the other text, as precision and recall.

    As in the package bert-score, whose last release fails with transformers 5 on empty answers: word pieces are not weighted by
    idf, the marks of start and end have no weight but may be the best match, and values are not rescaled. Texts are cut at the
    length of the model. An empty text scores 0.

    Args:
        folder: of an encoder that transformers loads, such as bert-base-multilingual-cased; never from the network.
        layer: the hidden layer that is compared, 0 for the embeddings; the last one if None. The authors' choice is 9 for
            bert-base-multilingual-cased, and 17 for roberta-large and xlm-roberta-large.

    Raises:
        ValueError: if the folder cannot be loaded, or the model has no such layer.
    """

    def __init__(self, folder: Path, layer: int | None = None) -> None:
        from transformers import AutoModel, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
            self._model: Any = AutoModel.from_pretrained(str(folder), local_files_only=True).eval()
        except (OSError, ValueError, ImportError) as error:
            raise ValueError(
                f"{folder}: transformers cannot load an encoder from it ({type(error).__name__})"
            ) from None
        config = self._model.config
        self._layer = config.num_hidden_layers if layer is None else layer
        if not 0 <= self._layer <= config.num_hidden_layers:
            raise ValueError(f"the BERTScore model has the layers 0 to {config.num_hidden_layers}")
        # RoBERTa counts positions from the padding on.
        positions = getattr(config, "max_position_embeddings", LONGEST) - (2 if "roberta" in config.model_type else 0)
        self._length = min(self._tokenizer.model_max_length, positions)

    def __call__(self, answers: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
        """The F1 of each answer with its reference, float [n]."""
        scores = np.zeros(len(answers))
        filled = [n for n in range(len(answers)) if answers[n].strip() and references[n].strip()]
        filled.sort(key=lambda n: len(answers[n]) + len(references[n]))  # little padding
        for first in range(0, len(filled), BATCH):
            numbers = filled[first : first + BATCH]
            ours, theirs = (self._embed([texts[n].strip() for n in numbers]) for texts in (answers, references))
            for number, (a, a_weights), (b, b_weights) in zip(numbers, ours, theirs, strict=True):
                scores[number] = _f1(a @ b.T, a_weights, b_weights)
        return scores

    @torch.inference_mode()
    def _embed(self, texts: Sequence[str]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Of each text the unit vectors of its word pieces, float [pieces, width], and their weights, float [pieces]."""
        inputs = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
            return_special_tokens_mask=True,
        )
        special = inputs.pop("special_tokens_mask").bool()
        states = self._model(**inputs, output_hidden_states=True).hidden_states[self._layer].float()
        vectors = torch.nn.functional.normalize(states, dim=-1)
        filled = inputs["attention_mask"].bool()
        weights = (~special).float()
        return [(vectors[n][filled[n]], weights[n][filled[n]]) for n in range(len(texts))]


def _f1(cosines: torch.Tensor, a_weights: torch.Tensor, b_weights: torch.Tensor) -> float:
    """F1 of the best cosines, of float [a, b]; 0 if a text has no word piece with a weight."""
    if not a_weights.any() or not b_weights.any():
        return 0.0
    precision = float(cosines.max(1).values @ a_weights / a_weights.sum())
    recall = float(cosines.max(0).values @ b_weights / b_weights.sum())
    return 2 * precision * recall / (precision + recall) if min(precision, recall) > 0 else 0.0
