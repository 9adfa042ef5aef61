"""Answers of a trained model, of the blank-image ablation and of untrained weights to all questions of an evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from refrad.anatomy.schema import Schema
from refrad.config import EvaluateOptions, TrainOptions
from refrad.core.files import digest_bytes
from refrad.dataset.examples import ImageExample
from refrad.evaluation.answer_cache import CachedGenerator, GeneratedAnswer
from refrad.evaluation.answer_lengths import AnswerLengthRow, answer_limits, count_lengths
from refrad.evaluation.metrics.grounding import NamedRegion, Region
from refrad.evaluation.question_sample import QuestionSample, evenly
from refrad.evaluation.questions import EvalQuestion, build_questions
from refrad.evaluation.regions import BoxCodec, DecodedAnswer, MaskCodec, RegionCodec, phrase_classes
from refrad.model.base_model import base_model_of
from refrad.model.preprocess import render_view, whole_view
from refrad.model.radgrounder import untrained_like

__all__ = ["AnsweredQuestions", "EvaluationImages", "TrainedModel", "answer_questions", "build_codec"]


@dataclass(frozen=True)
class EvaluationImages:
    """Test images, test images of each benchmark by its name, training images for the baselines, and the sample of the questions."""

    test: list[ImageExample]
    benchmarks: dict[str, list[ImageExample]]
    training: list[ImageExample]
    sample: QuestionSample

    @property
    def shown(self) -> list[ImageExample]:
        """All images that questions are about."""
        return [*self.test, *(image for images in self.benchmarks.values() for image in images)]

    @property
    def images_of_task(self) -> dict[str, int]:
        """The number of test images whose questions of a task are asked, by task."""
        return {task: sum(image.image_id in ids for image in self.test) for task, ids in self.sample.images.items()}


@dataclass(frozen=True)
class TrainedModel:
    """A model with its processor, its training options, the digest of its weights, the content of its config.json, and its dtype."""

    model: Any
    processor: Any
    training: TrainOptions
    weights: str
    config: bytes
    device: torch.device
    dtype: str = "float32"

    def cache_name(self, weights: str) -> str:
        """Name of weights in the answer cache; in another dtype their answers may differ."""
        return weights if self.dtype == "float32" else f"{weights} {self.dtype}"

    @property
    def side(self) -> int:
        """Width and height of the model's images, px."""
        return base_model_of(self.model).image_side(self.processor)

    @property
    def box_format(self) -> str:
        """How the model writes boxes."""
        return base_model_of(self.model).box_format(self.training.coordinates)


@dataclass(frozen=True)
class AnsweredQuestions:
    """Questions with their answers, those about the test images first.

    Attributes:
        questions: about the test images and the benchmarks.
        answers: of the trained model.
        decoded: the same answers, decoded.
        internal: number of questions about the test images.
        sampled: ids of the images of the baselines.
        blanked: regions of the trained model for `baseline_questions` about black images.
        untrained: regions of untrained weights for `baseline_questions`.
        lengths: of the answers of the trained model, by dataset and task.
    """

    questions: list[EvalQuestion]
    answers: list[GeneratedAnswer]
    decoded: list[DecodedAnswer]
    internal: int
    sampled: frozenset[str]
    blanked: list[tuple[NamedRegion, ...]]
    untrained: list[tuple[NamedRegion, ...]]
    lengths: list[AnswerLengthRow]

    @property
    def test_questions(self) -> list[EvalQuestion]:
        """The questions about the test images."""
        return self.questions[: self.internal]

    @property
    def test_regions(self) -> list[tuple[NamedRegion, ...]]:
        """The regions in the answers to `test_questions`."""
        return [decoded.regions for decoded in self.decoded[: self.internal]]

    @property
    def located(self) -> list[EvalQuestion]:
        """The questions of task locate about the test images."""
        return [question for question in self.test_questions if question.task == "locate"]

    @property
    def baseline_questions(self) -> list[EvalQuestion]:
        """Those of `located` that the baselines answer as well."""
        return [question for question in self.located if question.image_id in self.sampled]

    @property
    def baseline_regions(self) -> list[tuple[NamedRegion, ...]]:
        """The regions of the trained model in the answers to `baseline_questions`."""
        pairs = zip(self.located, self.located_regions, strict=True)
        return [regions for question, regions in pairs if question.image_id in self.sampled]

    @property
    def located_regions(self) -> list[tuple[NamedRegion, ...]]:
        """The regions in the answers to `located`."""
        pairs = zip(self.test_questions, self.test_regions, strict=True)
        return [regions for question, regions in pairs if question.task == "locate"]

    def visible(self, images: EvaluationImages, codec: RegionCodec) -> dict[str, dict[int | str, Region]]:
        """Test image id to the true region of each key that an answer gives and that is in the image."""
        keys: dict[str, set[int | str]] = {image.image_id: set() for image in images.test}
        for question, regions in zip(self.test_questions, self.test_regions, strict=True):
            keys[question.image_id].update(region.key for region in regions)
        return {image.image_id: codec.visible(image, keys[image.image_id]) for image in images.test}


def build_codec(trained: TrainedModel, images: EvaluationImages, schema: Schema) -> RegionCodec:
    """The codec of the model's variant."""
    if trained.training.variant != "segmentation":
        return BoxCodec(trained.box_format)
    sizes = {image.image_id: image.size for image in images.shown}
    return MaskCodec(trained.side, sizes, phrase_classes([*images.training, *images.test], schema))


def answer_questions(
    trained: TrainedModel, images: EvaluationImages, codec: RegionCodec, store: Path, options: EvaluateOptions
) -> AnsweredQuestions:
    """Answers to all questions about the images; the model is moved to the CPU before untrained weights answer.

    Args:
        trained: the model.
        images: test images and benchmarks.
        codec: of the model's variant.
        store: folder of the answer cache.
        options: of stage evaluate.
    """
    training = trained.training
    resize, form = training.resize, (training.resize, training.variant == "segmentation", trained.box_format)

    def asked_questions(dataset: str, examples: list[ImageExample]) -> list[EvalQuestion]:
        questions = (question for image in examples for question in build_questions(image, dataset, *form))
        return [question for question in questions if images.sample.asks(question.task, question.image_id)]

    questions = asked_questions("internal", images.test)
    public = [
        question for name, benchmark in images.benchmarks.items() for question in asked_questions(name, benchmark)
    ]
    grounded = list(dict.fromkeys(question.image_id for question in questions if question.task == "locate"))
    sampled = frozenset(grounded[index] for index in evenly(len(grounded), options.baseline_samples))
    located = [question for question in questions if question.task == "locate" and question.image_id in sampled]
    inputs = {
        image.image_id: render_view(image.load_image(), whole_view(image.size, resize), trained.side)
        for image in images.shown
    }
    limits = answer_limits([*questions, *public], trained.processor, options.answer_tokens)
    tokens = {group: limit["limit"] for group, limit in limits.items()}
    generator = CachedGenerator(trained.processor, inputs, store, options.batch, tokens)

    # The trained model, then the same model with black images
    weights = trained.cache_name(trained.weights)
    answers = generator.generate(trained.model, weights, questions)
    answers += generator.generate(trained.model, weights, public)
    blanked = generator.generate(trained.model, weights, located, blank=True)

    # Untrained weights, which the cache identifies by what determines them
    seed = trained.training.seed
    name = digest_bytes(b"untrained", codec.name.encode(), trained.config, str(seed).encode())
    untrained_model = untrained_like(trained.model, trained.processor, seed)
    trained.model.cpu()
    untrained_model.to(trained.device)  # type: ignore[arg-type]
    untrained = generator.generate(untrained_model, trained.cache_name(name), located)

    def regions(located_answers: list[GeneratedAnswer]) -> list[tuple[NamedRegion, ...]]:
        pairs = zip(located, located_answers, strict=True)
        return [codec.decode(question, answer).regions for question, answer in pairs]

    decoded = [codec.decode(*pair) for pair in zip([*questions, *public], answers, strict=True)]
    lengths = count_lengths([*questions, *public], answers, limits)
    return AnsweredQuestions(
        [*questions, *public], answers, decoded, len(questions), sampled, regions(blanked), regions(untrained), lengths
    )
