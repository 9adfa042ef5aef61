"""Optional text metrics of captions and open answers: BLEU-4, ROUGE-L and BERTScore, each per item and without any connection."""

import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOT_OFFERED", "TEXT_METRICS", "TextMetric", "load_text_metrics", "rouge_l"]

# Scores of answers against their references, float [n].
TextMetric = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]

TEXT_METRICS: Mapping[str, str] = {
    "bleu4": "mean of the BLEU-4 (0 to 1) of each text: up to four words in a row, in lower case with punctuation as words (13a), of"
    " shorter texts up to their length, smoothing exp; sacrebleu. Not the BLEU of a corpus. Ignores synonyms and negation.",
    "rougel": "ROUGE-L F1: longest common subsequence of words in lower case, without punctuation and stemming. Ignores synonyms and"
    " negation.",
    "bertscore": "BERTScore F1: each word piece with its most similar one of the other text, by the local model; without idf weights"
    " and rescaling. Not comparable between models or layers. Ignores negation for the most part.",
}
NOT_OFFERED: Mapping[str, str] = {
    "radgraph": "its package asks a hub for a tokenizer even with local weights, and does not run with transformers 5",
    "ratescore": "its package needs medspacy, and both its models read English alone",
    "green": "its judge of 7 billion parameters reads English alone; evaluate.judge: llm and --judge-endpoint use any judge",
}
WORD = re.compile(r"\w+")


def load_text_metrics(
    names: Sequence[str], bertscore_model: Path | None = None, bertscore_layer: int | None = None
) -> dict[str, TextMetric]:
    """The metrics by name.

    Args:
        names: of TEXT_METRICS.
        bertscore_model: folder of a transformers encoder.
        bertscore_layer: the hidden layer of it that is compared; the last one if None.

    Raises:
        ValueError: in one line, if a metric does not exist or is not offered, or its package or folder is missing.
    """
    metrics: dict[str, TextMetric] = {}
    for name in names:
        if name in NOT_OFFERED:
            raise ValueError(f"text metric {name} is not offered: {NOT_OFFERED[name]}")
        if name not in TEXT_METRICS:
            raise ValueError(f"no such text metric; there are {', '.join(TEXT_METRICS)}")
        if name == "bleu4":
            metrics[name] = _load_bleu()
        elif name == "rougel":
            metrics[name] = rouge_ls
        else:
            metrics[name] = _load_bertscore(bertscore_model, bertscore_layer)
    if bertscore_model is not None and "bertscore" not in metrics:
        raise ValueError("a BERTScore model is named, but the text metrics do not include bertscore")
    return metrics


def _load_bleu() -> TextMetric:
    if importlib.util.find_spec("sacrebleu") is None:
        raise ValueError("text metric bleu4 needs sacrebleu: pip install 'refrad[text]'")
    from sacrebleu.metrics.bleu import BLEU

    metric: Any = BLEU(lowercase=True, tokenize="13a", smooth_method="exp", effective_order=True)

    def bleus(answers: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
        pairs = zip(answers, references, strict=True)
        return np.array([metric.sentence_score(answer, [true]).score / 100 for answer, true in pairs], np.float64)

    return bleus


def _load_bertscore(folder: Path | None, layer: int | None) -> TextMetric:
    if folder is None:
        raise ValueError(
            "text metric bertscore needs the folder of a transformers encoder: --bertscore-model or evaluate.bertscore_model"
        )
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder}: no config.json there; name the folder of a transformers encoder for bertscore")
    if importlib.util.find_spec("transformers") is None:
        raise ValueError("text metric bertscore needs transformers: pip install 'refrad[train]'")
    from refrad.evaluation.metrics.bertscore import BertScore

    return BertScore(folder, layer)


def rouge_ls(answers: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    """`rouge_l` of each pair, float [n]."""
    return np.array([rouge_l(answer, true) for answer, true in zip(answers, references, strict=True)], np.float64)


def rouge_l(answer: str, true: str) -> float:
    """ROUGE-L (Lin 2004), F1: 2 L / (words of the answer + words of the truth), L the length of their longest common subsequence.

    Words are runs of letters and digits of any language, in lower case: the package rouge-score agrees for English without
    stemming, but cuts German words at each umlaut. 0 if either text has no word.
    """
    ours, theirs = WORD.findall(answer.lower()), WORD.findall(true.lower())
    longest = [0] * (len(theirs) + 1)
    for word in ours:
        diagonal = 0
        for index, true_word in enumerate(theirs, 1):
            above = longest[index]
            longest[index] = diagonal + 1 if word == true_word else max(above, longest[index - 1])
            diagonal = above
    return 2 * longest[-1] / (len(ours) + len(theirs)) if longest[-1] else 0.0
