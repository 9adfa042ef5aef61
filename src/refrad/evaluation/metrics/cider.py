"""CIDEr: overlap of the n-grams of a caption with its reference, weighted by their rarity."""

import math
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["NORMALISATIONS", "cider"]

MAX_NGRAM = 4  # words of an n-gram
SIGMA = 6.0  # of the penalty for a difference in length, in words
SCALE = 10.0
MARKS = str.maketrans({mark: f" {mark} " for mark in string.punctuation if mark not in "'-/.,"} | {"-": " - "})


def _classic(text: str) -> list[str]:
    """Lower case, punctuation dropped, decimals kept: the tokens of the original's Penn Treebank tokenizer, without Java."""
    pieces = [piece.strip(".,;:") for piece in text.lower().translate(MARKS).split()]
    return [piece for piece in pieces if piece.strip(string.punctuation)]


NORMALISATIONS: Mapping[str, Callable[[str], list[str]]] = {"classic": _classic, "released": str.split}


def cider(predicted: Sequence[str], true: Sequence[str], normalisation: str) -> NDArray[np.float64]:
    """CIDEr (Vedantam 2015, in the clipped form of the COCO evaluation, CIDEr-D) of each caption, float [captions], 0 to 10.

    Mean over n = 1..4 of the cosine of TF-IDF vectors of n-grams, each predicted weight clipped at the true one, times
    exp(-(difference in length)^2 / (2 * 6^2)), times 10. Document frequencies are those of `true`. The mean over captions is the
    score of a data set; tables of papers often show it times 100, or times 10.

    Ignores synonyms and negation, which is one word of many. The document frequencies make scores of different test sets
    incomparable: with a single caption all scores are 0, as every n-gram is in every document.

    Args:
        predicted: a caption for each image.
        true: its one reference.
        normalisation: "classic" (lower case, punctuation dropped, as in the COCO evaluation) or "released" (split at white
            space, with case and punctuation, as in the released code and the numbers of the paper).
    """
    split = NORMALISATIONS[normalisation]
    ours, theirs = ([_grams(split(text)) for text in texts] for texts in (predicted, true))
    documents = Counter(gram for grams in theirs for gram in grams)
    log_documents = math.log(max(len(true), 1))

    def weights(grams: Counter[tuple[str, ...]]) -> dict[tuple[str, ...], float]:
        return {gram: count * (log_documents - math.log(max(documents[gram], 1))) for gram, count in grams.items()}

    return np.array([_alike(weights(a), weights(b), a, b) for a, b in zip(ours, theirs, strict=True)], np.float64)


def _grams(tokens: Sequence[str]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for n in range(1, MAX_NGRAM + 1) for i in range(len(tokens) - n + 1))


def _alike(
    ours: Mapping[tuple[str, ...], float],
    theirs: Mapping[tuple[str, ...], float],
    our_grams: Counter[tuple[str, ...]],
    their_grams: Counter[tuple[str, ...]],
) -> float:
    shared, norms = [0.0] * MAX_NGRAM, [[0.0] * MAX_NGRAM, [0.0] * MAX_NGRAM]
    for side, weights in enumerate((ours, theirs)):
        for gram, weight in weights.items():
            norms[side][len(gram) - 1] += weight**2
    for gram, weight in ours.items():
        if gram in theirs:
            shared[len(gram) - 1] += min(weight, theirs[gram]) * theirs[gram]
    # The original counts a text's length in bigrams.
    lengths = [sum(count for gram, count in grams.items() if len(gram) == 2) for grams in (our_grams, their_grams)]
    penalty = math.exp(-((lengths[0] - lengths[1]) ** 2) / (2 * SIGMA**2))
    cosines = [dot / math.sqrt(a * b) if a and b else 0.0 for dot, a, b in zip(shared, norms[0], norms[1], strict=True)]
    return SCALE * penalty * sum(cosines) / MAX_NGRAM
