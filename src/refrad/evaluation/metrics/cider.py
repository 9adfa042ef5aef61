"""CIDEr: overlap of the n-grams of a caption with its reference, weighted by their rarity."""

import itertools
import math
import re
import string
from array import array
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["NORMALISATIONS", "cider"]

MAX_NGRAM = 4  # words of an n-gram
SIGMA = 6.0  # of the penalty for a difference in length, in words
SCALE = 10.0
MARKS = re.compile("[" + re.escape("".join(mark for mark in string.punctuation if mark not in "'/.,")) + "]")


def _classic(text: str) -> list[str]:
    """Lower case, punctuation dropped, decimals kept: the tokens of the original's Penn Treebank tokenizer, without Java."""
    return list(filter(None, map(_classic_word, MARKS.sub(r" \g<0> ", text.lower()).split())))


@lru_cache(maxsize=100_000)
def _classic_word(piece: str) -> str:
    """The word of a piece between blanks, "" if there is none."""
    word = piece.strip(".,;:")
    return word if word.strip(string.punctuation) else ""


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
    count = len(true)
    if not count:
        return np.zeros(0)
    # Words as numbers: those of all predicted captions, then those of all true ones. `caption` is the number of each word's caption.
    split = NORMALISATIONS[normalisation]
    vocabulary: defaultdict[str, int] = defaultdict(itertools.count().__next__)
    numbers, lengths = array("q"), []
    for text in (*predicted, *true):
        words = split(text)
        numbers.extend(map(vocabulary.__getitem__, words))
        lengths.append(len(words))
    word = np.frombuffer(numbers, np.int64)
    caption = np.repeat(np.arange(2 * count), lengths)
    cosines, bigrams = np.zeros((MAX_NGRAM, count)), np.zeros(2 * count)
    gram, start = word, np.arange(len(word))
    for n in range(1, MAX_NGRAM + 1):
        if n > 1:  # an n-gram is the one a word shorter at its place, and the word after it in the same caption
            inside = start + n - 1 < len(word)
            inside[inside] = caption[start[inside] + n - 1] == caption[start[inside]]
            start = start[inside]
            gram = np.unique(gram[inside] * len(vocabulary) + word[start + n - 1], return_inverse=True)[1]
        if n == 2:  # the original counts a text's length in bigrams
            bigrams = np.bincount(caption[start], minlength=2 * count).astype(np.float64)
        cosines[n - 1] = _cosines(caption[start], gram, count)
    penalty = np.exp(-((bigrams[:count] - bigrams[count:]) ** 2) / (2 * SIGMA**2))
    return np.asarray(SCALE * penalty * cosines.sum(0) / MAX_NGRAM)


def _cosines(caption: NDArray[np.int64], gram: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Clipped cosine of the n-grams of each predicted caption with those of its true one, float [count]; 0 where one has no weight.

    Args:
        caption: the number of the caption of each n-gram, first predicted ones, then from `count` on true ones.
        gram: the number of each n-gram.
        count: predicted captions, and as many true ones.
    """
    if not len(gram):
        return np.zeros(count)
    kinds = int(gram.max()) + 1
    keys, frequencies = np.unique(caption * kinds + gram, return_counts=True)
    owner, gram = np.divmod(keys, kinds)
    documents = np.bincount(gram[owner >= count], minlength=kinds)
    weights = frequencies * (math.log(count) - np.log(np.maximum(documents, 1)))[gram]
    norms = np.bincount(owner, weights**2, minlength=2 * count)
    ours = owner < count
    left, right = _equal(keys[ours], keys[~ours] - count * kinds)
    clipped = np.minimum(weights[ours][left], weights[~ours][right]) * weights[~ours][right]
    shared = np.bincount(owner[ours][left], clipped, minlength=count)
    scale = np.sqrt(norms[:count] * norms[count:])
    return np.asarray(np.divide(shared, scale, out=np.zeros(count), where=scale > 0))


def _equal(left: NDArray[np.int64], right: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The indices of the numbers that two sorted arrays of distinct numbers have in common, in each of them."""
    if not len(right):
        return np.zeros(0, int), np.zeros(0, int)
    nearest = np.minimum(np.searchsorted(right, left), len(right) - 1)
    shared = np.flatnonzero(right[nearest] == left)
    return shared, nearest[shared]
