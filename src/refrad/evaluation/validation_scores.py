"""Metrics by which a training chooses its best weights, from answers that the model generates for validation samples."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.evaluation.metrics.grounding import NamedRegion
from refrad.evaluation.metrics.localization import score_locations
from refrad.evaluation.metrics.text import accuracy
from refrad.inference.generate import generate, mask_dice
from refrad.model.box_formats import read_boxes
from refrad.model.collate import Sample

__all__ = ["ScoredAnswers"]


class ScoredAnswers:
    """A metric of a model's answers to samples.

    "iou": as the evaluation's mean IoU of task locate: that of each true box with the box of its class in the answer, 0 without
    one. "vqa": the evaluation's accuracy of each answer. "dice": Dice of the mask for each phrase of the true targets.

    Args:
        metric: which one.
        model: under training; it is scored as it is at each call.
        processor: of the model.
        samples: with true targets, of the tasks that the metric is for.
        box_format: of the boxes in the text, see `refrad.model.box_formats`.
        compute_dtype: of matrix products, "float32" or "bfloat16".
    """

    def __init__(
        self,
        metric: Literal["iou", "dice", "vqa"],
        model: PaliGemmaForConditionalGeneration,
        processor: PaliGemmaProcessor,
        samples: Sequence[Sample],
        box_format: str,
        compute_dtype: str = "float32",
    ) -> None:
        self.metric, self.model, self.processor, self.samples = metric, model, processor, samples
        self.box_format, self.compute_dtype = box_format, compute_dtype
        targets = processor.tokenizer([sample.target for sample in samples], add_special_tokens=False)["input_ids"]
        self.limit = max(map(len, targets)) + 1  # eos

    def of_part(self, rank: int, size: int) -> tuple[float, int]:
        """The sum of the scores of every `size`-th sample from the `rank`-th on, and how many scores these are."""
        part = self.samples[rank::size]
        if not part:
            return 0.0, 0
        with _plain_layers(self.model, self.compute_dtype):
            if self.metric == "dice":
                count = sum(len(sample.masks) for sample in part if sample.masks is not None)
                return (mask_dice(self.model, self.processor, part) or 0.0) * count, count
            images, texts = [sample.image for sample in part], [sample.text for sample in part]
            answers = [answer.text for answer in generate(self.model, self.processor, images, texts, self.limit)]
        scores = [score for sample, answer in zip(part, answers, strict=True) for score in self._scores(sample, answer)]
        return sum(scores), len(scores)

    def _scores(self, sample: Sample, answer: str) -> list[float]:
        """The scores of an answer: one, or for IoU one for each true box."""
        if self.metric == "vqa":
            return [accuracy(answer, sample.target)]
        true, predicted = (
            [
                NamedRegion(entity.box, entity.text, entity.class_id)
                for entity in read_boxes(text, self.box_format).entities
            ]
            for text in (sample.target, answer)
        )
        return [score.iou for score in score_locations(true, predicted)]


@contextmanager
def _plain_layers(model: PaliGemmaForConditionalGeneration, compute_dtype: str) -> Iterator[None]:
    """Run a model under training as evaluation does: in evaluation mode, not compiled, without flex attention."""
    was_training, attention = model.training, model.model.language_model.config._attn_implementation
    model.eval()
    if attention == "flex_attention":
        model.model.language_model.set_attn_implementation("eager")
    try:
        with (
            torch.compiler.set_stance("force_eager"),
            torch.autocast(model.device.type, torch.bfloat16, enabled=compute_dtype == "bfloat16"),
        ):
            yield
    finally:
        if attention == "flex_attention":
            model.model.language_model.set_attn_implementation(attention)
        model.train(was_training)
