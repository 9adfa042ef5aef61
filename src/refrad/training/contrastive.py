"""Contrastive training on images and their captions: batches, the sigmoid loss, and retrieval."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedTokenizerBase, SiglipModel

from refrad.config import AugmentOptions
from refrad.dataset.example_rows import ExampleRows
from refrad.dataset.examples import ImageExample, example_of_row
from refrad.model.preprocess import render_view, whole_view
from refrad.training.augment import random_view
from refrad.training.dataloader import Batch, DataPosition, Keys, SampleId, endless_batches, load_with_workers

__all__ = [
    "DIRECTIONS",
    "Pairs",
    "Recall",
    "Retrieval",
    "chance_of",
    "contrast_loss",
    "measure_retrieval",
    "pair_batches",
    "recall_at",
    "sigmoid_loss",
]

KS = (1, 5, 10)
AT_ONCE = 64  # images or texts encoded at once


class Pairs(Dataset[Batch]):
    """Each caption of each row with its image: `pairs[position, keys]` is a batch, a pure function of the arguments.

    Args:
        rows: of which some may have no caption.
        tokenizer: of the text tower; texts are padded, and cut, to its `model_max_length`.
        side: of the images, px.
        seed: of all choices.
        augment: how views are drawn (training); None for whole images.
        resize: how an image comes to fill the square, see `whole_view`.
    """

    def __init__(
        self,
        rows: ExampleRows,
        tokenizer: PreTrainedTokenizerBase,
        side: int,
        seed: int,
        augment: AugmentOptions | None,
        resize: Literal["stretch", "pad"] = "stretch",
    ) -> None:
        self.tokenizer, self.side, self.seed, self.augment, self.resize = tokenizer, side, seed, augment, resize
        self.rows = rows
        self._ends = np.cumsum(rows.facts["captions"], dtype=np.int64)  # the number of pairs up to each row

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The positions int64 [pairs] of an epoch in random order."""
        return np.random.default_rng((self.seed, epoch, 21)).permutation(len(self))

    def texts(self, row: int) -> list[str]:
        """The captions of a row."""
        return [caption["text"] for caption in self.rows[row]["captions"] or ()]

    def count_cut(self) -> int:
        """Number of pairs whose text is longer than the text tower takes, so that its end is cut off. Reads all rows."""
        limit, number = self.tokenizer.model_max_length, 0
        for row in np.flatnonzero(self.rows.facts["captions"]).tolist():
            encoded = self.tokenizer(self.texts(row), verbose=False)["input_ids"]
            number += sum(len(ids) > limit for ids in encoded)
        return number

    def image(self, row: int, key: tuple[int, int] = (0, 0)) -> NDArray[np.uint8]:
        """The image of a row as a pair (epoch, index) shows it, uint8 [side, side, 3]."""
        return self._image(example_of_row(self.rows[row]), key)

    def _image(self, picture: ImageExample, key: tuple[int, int]) -> NDArray[np.uint8]:
        view = whole_view(picture.size, self.resize)
        if self.augment:
            view = random_view(np.random.default_rng((self.seed, *key, 22)), self.augment, view)
        return render_view(picture.load_image(), view, self.side)

    def __getitem__(self, turn: tuple[DataPosition, Keys]) -> Batch:
        position, keys = turn
        pairs = np.array([index for _, index in keys])
        rows = np.searchsorted(self._ends, pairs, side="right")
        numbers = pairs - self._ends[rows] + self.rows.facts["captions"][rows]  # of the caption in its row
        pictures = [example_of_row(self.rows[row]) for row in rows.tolist()]
        texts_of = [[caption.text for caption in picture.captions] for picture in pictures]
        texts = [texts[number] for texts, number in zip(texts_of, numbers.tolist(), strict=True)]
        tensors = {
            "pixel_values": pixels([self._image(picture, key) for picture, key in zip(pictures, keys, strict=True)]),
            "input_ids": tokens(texts, self.tokenizer),
            "matches": torch.tensor([[text in own for text in texts] for own in texts_of]),
        }
        ids = [SampleId(*key, picture.image_id) for key, picture in zip(keys, pictures, strict=True)]
        return Batch(tensors, ["pair"] * len(keys), position, ids)


def pixels(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Images as SigLIP takes them: float32 [batch, 3, side, side], -1..1."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def tokens(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Texts as SigLIP takes them: int64 [batch, length], all of full length; the last position represents the text."""
    encoded = tokenizer(list(texts), padding="max_length", truncation=True, return_tensors="pt")
    ids: Tensor = encoded["input_ids"]
    return ids


class _PairBatches(Sampler[tuple[DataPosition, Keys]]):
    """The position after each batch, and the keys of its pairs; a batch that would be incomplete is left out."""

    def __init__(self, pairs: Pairs, batch: int, start: DataPosition) -> None:
        self.pairs, self.batch, self.start = pairs, min(batch, len(pairs)), start

    def __iter__(self) -> Iterator[tuple[DataPosition, Keys]]:
        return endless_batches(self._batches_of, self.start)

    def _batches_of(self, epoch: int) -> list[Keys]:
        order = [(epoch, index) for index in self.pairs.order(epoch).tolist()]
        return [order[first : first + self.batch] for first in range(0, len(order) - self.batch + 1, self.batch)]


def pair_batches(pairs: Pairs, batch: int, start: DataPosition, workers: int) -> Iterator[Batch]:
    """The batches from `start` on, without end. They do not depend on the number of workers.

    Raises:
        ValueError: if there are no pairs.
    """
    if not len(pairs):
        raise ValueError("there is nothing to train on")
    return load_with_workers(pairs, _PairBatches(pairs, batch, start), workers)


def sigmoid_loss(logits: Tensor, matches: Tensor) -> Tensor:
    """SigLIP's loss: each pair of an image and a text of a batch is a separate yes or no; the sum over texts, the mean over images.

    Args:
        logits: float [images, texts].
        matches: bool of the same shape, true where the text is one of the image's. A caption that two images share is a match
            of both.
    """
    return -functional.logsigmoid(torch.where(matches, logits, -logits)).sum(1).mean()


def contrast_loss(model: SiglipModel, batch: Mapping[str, Tensor], compute_dtype: str = "float32") -> Tensor:
    """Loss of a batch of `Pairs`, a float32 scalar. With compute_dtype "bfloat16" the layers multiply in it; weights stay float32."""
    inputs = {name: tensor.to(model.device, non_blocking=True) for name, tensor in batch.items()}
    with torch.autocast(model.device.type, torch.bfloat16, enabled=compute_dtype == "bfloat16"):
        images = model.vision_model(pixel_values=inputs["pixel_values"]).pooler_output
        texts = model.text_model(input_ids=inputs["input_ids"]).pooler_output
    near = functional.normalize(images.float()) @ functional.normalize(texts.float()).T
    return sigmoid_loss(near * model.logit_scale.exp() + model.logit_bias, inputs["matches"])


def recall_at(scores: Tensor, matches: Tensor, k: int) -> float:
    """Share of the rows for which one of the `k` columns of highest score is a match.

    Args:
        scores: float [rows, columns].
        matches: bool [rows, columns].
        k: columns, 1 or more.
    """
    best = scores.topk(min(k, scores.shape[1])).indices
    return matches.gather(1, best).any(1).double().mean().item()


def chance_of(matches: Tensor, k: int) -> float:
    """The mean of `recall_at` when the columns come in random order: 1 - C(n - m, k) / C(n, k) for a row of m matches.

    Args:
        matches: bool [rows, columns].
        k: columns, 1 or more.
    """
    n, hits = matches.shape[1], matches.sum(1, dtype=torch.float64)
    missed = torch.ones_like(hits)
    for drawn in range(min(k, n)):
        missed *= ((n - hits - drawn) / (n - drawn)).clamp(min=0)
    return (1 - missed).mean().item()


class Recall(TypedDict):
    """Recall at k, and its mean for columns in random order."""

    found: float
    chance: float


Direction = Literal["image to caption", "caption to image"]
DIRECTIONS: tuple[Direction, Direction] = ("image to caption", "caption to image")

# Number of images and captions, and in each direction the recall of "recall@<k>".
Retrieval = TypedDict(
    "Retrieval",
    {
        "images": int,
        "captions": int,
        "image to caption": dict[str, Recall],
        "caption to image": dict[str, Recall],
    },
)


@torch.no_grad()
def measure_retrieval(model: SiglipModel, pairs: Pairs, most: int, compute_dtype: str = "float32") -> Retrieval:
    """Recall at 1, 5 and 10 of captions by images and of images by captions, each next to that by chance.

    Among all images of `pairs`, or `most` of them evenly drawn if there are more, and their captions. A text of several images
    counts once, and each of these images is a match. It runs on the device of `model`, whose layers multiply in `compute_dtype`.
    """
    rows = range(0, len(pairs.rows), max(1, -(-len(pairs.rows) // most)))
    texts_of = [pairs.texts(row) for row in rows]
    texts = sorted({text for own in texts_of for text in own})
    matches = torch.tensor([[text in own for text in texts] for own in texts_of])
    device = model.device
    image_features, text_features = [], []
    with torch.autocast(device.type, torch.bfloat16, enabled=compute_dtype == "bfloat16"):
        for first in range(0, len(rows), AT_ONCE):
            batch = pixels([pairs.image(row) for row in rows[first : first + AT_ONCE]])
            image_features.append(model.vision_model(pixel_values=batch.to(device)).pooler_output.float().cpu())
        for first in range(0, len(texts), AT_ONCE):
            ids = tokens(texts[first : first + AT_ONCE], pairs.tokenizer)
            text_features.append(model.text_model(input_ids=ids.to(device)).pooler_output.float().cpu())
    scores = functional.normalize(torch.cat(image_features)) @ functional.normalize(torch.cat(text_features)).T
    return {
        "images": len(rows),
        "captions": len(texts),
        "image to caption": _recalls(scores, matches),
        "caption to image": _recalls(scores.T, matches.T),
    }


def _recalls(scores: Tensor, matches: Tensor) -> dict[str, Recall]:
    return {f"recall@{k}": {"found": recall_at(scores, matches, k), "chance": chance_of(matches, k)} for k in KS}
