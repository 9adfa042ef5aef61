"""The samples of RadGrounder: an image, a prompt and the answer. Pure functions of (seed, epoch, index)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refrad.anatomy.schema import Schema
from refrad.config import AugmentOptions
from refrad.core.types import LANGUAGES, Box
from refrad.dataset.example_rows import ExampleRows
from refrad.dataset.examples import ExampleCaption, ExampleMention, ImageExample, example_of_row
from refrad.dataset.prompt_targets import detect, locate
from refrad.model.collate import Sample
from refrad.model.preprocess import View, box_in_view, render_view, whole_view
from refrad.model.prompts import MAX_NAMES, caption_prompt, prefix, prompt_text, vqa_text
from refrad.training.augment import random_view
from refrad.training.task_mixture import TASKS, TaskMixture

__all__ = [
    "SampleOptions",
    "Samples",
    "SurfaceForms",
    "class_frequencies",
    "surface_forms",
]

SurfaceForms = Mapping[tuple[str, int], Sequence[str]]


def surface_forms(meanings: Iterable[tuple[str, str, int]], schema: Schema) -> SurfaceForms:
    """How each class is called in each language: its display name, and the phrases that never meant another class.

    Args:
        meanings: language, text and class id of the phrases of captions.
        schema: the classes.
    """
    classes_of: dict[tuple[str, str], set[int]] = {}
    for language, text, class_id in meanings:
        classes_of.setdefault((language, text), set()).add(class_id)
    names: dict[tuple[str, int], list[str]] = {}
    for anatomy_class in schema.classes:
        names["en", anatomy_class.id], names["de", anatomy_class.id] = [anatomy_class.english], [anatomy_class.german]
    for (language, text), classes in sorted(classes_of.items()):
        if len(classes) == 1 and text not in (forms := names.setdefault((language, min(classes)), [])):
            forms.append(text)
    return names


def class_frequencies(rows: ExampleRows) -> Counter[int]:
    """How often the captions of all rows name each class, plus one."""
    return Counter(dict.fromkeys(range(256), 1)) + rows.classes.counts


@dataclass(frozen=True)
class SampleOptions:
    """How samples are made from rows.

    size: side of the images, px. order: of the coordinates in the text, yxyx or xyxy; None for segmentation.
    shares: of the tasks, see `TaskMixture`. seed: of all random choices.
    augment: how views are drawn (training); None for whole images with the full clinical information (validation).
    resize: how an image fills the square, see `whole_view`.
    public_share: of the samples that are questions of benchmarks. Their rows have no captions and no structures and serve no
    other task; the name of the task is that of the benchmark, with which their image ids begin.
    """

    size: int
    order: str | None
    shares: Mapping[str, float]
    seed: int
    augment: AugmentOptions | None
    resize: Literal["stretch", "pad"] = "stretch"
    public_share: float = 0.0


class Samples:
    """The samples of rows. `samples[epoch, index]` is a pure function of the arguments, so any worker may make it.

    Args:
        rows: of which they are samples; a table in memory, or a store.
        names: of the classes.
        options: how samples are made.
    """

    def __init__(self, rows: ExampleRows, names: SurfaceForms, options: SampleOptions) -> None:
        self.forms, self.size, self.order = names, options.size, options.order
        self.seed, self.augment, self.resize = options.seed, options.augment, options.resize
        self.mixture = TaskMixture(rows, options.shares, options.public_share, options.seed)
        self.frequencies = class_frequencies(rows)
        self._rows = rows
        self._drawn: tuple[int, NDArray[np.int64], NDArray[np.int32]] | None = None

    def __len__(self) -> int:
        return len(self.mixture)

    def _epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Row and task of each sample of an epoch; those of the last one are kept."""
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = epoch, self.mixture.rows(epoch), self.mixture.codes(epoch)
        return self._drawn[1:]

    def lengths(self, rows: NDArray[np.int64], task: str) -> NDArray[np.float64]:
        """About how long the text of each row is in a task, in characters: float64 [rows]."""
        if task == "locate":  # about as long in each
            return np.zeros(len(rows))
        return np.asarray(self._rows.facts[f"{task if task in TASKS else 'vqa'}_length"][rows])

    @property
    def names(self) -> list[str]:
        """The names of the tasks: of public samples that of the benchmark."""
        return self.mixture.names

    def codes(self, epoch: int) -> NDArray[np.int32]:
        """The task of each sample of an epoch as its position in `names`, int32 [samples], known without making any."""
        return self._epoch(epoch)[1]

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """The row that each sample of an epoch is made from, int64 [samples]."""
        return self._epoch(epoch)[0]

    def tasks(self, epoch: int) -> NDArray[np.str_]:
        """The task of each sample of an epoch, str [samples]."""
        return np.array(self.names)[self.codes(epoch)]

    def task(self, epoch: int, index: int) -> str:
        """The task of a sample."""
        return str(self.tasks(epoch)[index])

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        return self.make(key, int(self.rows(epoch)[index]), self.task(epoch, index))

    def make(self, key: tuple[int, int], row: int, task: str) -> Sample:
        """The sample of an epoch and index, whose `row` and `task` are known: the process need not draw those of the epoch."""
        rng = np.random.default_rng((self.seed, *key, 1))
        picture = example_of_row(self._rows[row])
        match task:
            case "detect":
                return self._detect(picture, rng)
            case "locate":
                return self._locate(picture, rng)
            case "caption":
                return self._caption(picture, rng)
            case _:
                return self._vqa(picture, rng)

    def _locate(self, picture: ImageExample, rng: np.random.Generator) -> Sample:
        language = str(rng.choice(LANGUAGES)) if picture.boxes else picture.captions[0].language
        mentions = [
            mention for caption in picture.captions if caption.language == language for mention in caption.mentions
        ]
        visible = [
            ExampleMention(0, 0, self._name(class_id, language, rng), ((class_id, box),))
            for class_id, box in picture.boxes.items()
        ]
        for view in (self._view(picture, rng), self._whole(picture)):  # a view may have lost everything
            groups = [in_view for group in (mentions, visible) if (in_view := self._in_view(picture, group, view))]
            if groups:
                break
        weights = np.concatenate([self._weights(group) for group in groups]) / len(groups)
        pool = [mention for group in groups for mention in group]
        number = min(int(rng.integers(1, MAX_NAMES + 1)), len(pool))
        chosen = [pool[i] for i in rng.choice(len(pool), number, replace=False, p=weights)]
        text, target, classes = locate(chosen, language, self.order)
        masks = self._masks(picture, classes, view)
        image = render_view(picture.load_image(), view, self.size)
        return Sample("locate", language, image, text, target, masks, picture.image_id)

    def _detect(self, picture: ImageExample, rng: np.random.Generator) -> Sample:
        view = self._view(picture, rng)
        grounded = [caption for caption in picture.captions if caption.mentions]
        caption = grounded[int(rng.integers(len(grounded)))]
        before = self._prior_knowledge(caption, rng)
        text, target, classes = detect(caption, self._in_view(picture, caption.mentions, view), before, self.order)
        masks = self._masks(picture, classes, view)
        image = render_view(picture.load_image(), view, self.size)
        return Sample("detect", caption.language, image, text, target, masks, picture.image_id)

    def _caption(self, picture: ImageExample, rng: np.random.Generator) -> Sample:
        view = self._view(picture, rng)
        caption = picture.captions[int(rng.integers(len(picture.captions)))]
        text = prompt_text(caption_prompt(caption.language), self._prior_knowledge(caption, rng))
        image = render_view(picture.load_image(), view, self.size)
        masks = self._masks(picture, [], view)
        return Sample("caption", caption.language, image, text, caption.text, masks, picture.image_id)

    def _prior_knowledge(self, caption: ExampleCaption, rng: np.random.Generator) -> str:
        """Nothing, the clinical information, the question or both, each equally often; in validation both."""
        indication, question = rng.integers(2, size=2) if self.augment else (1, 1)
        return prefix(
            caption.language, caption.indication if indication else None, caption.question if question else None
        )

    def _vqa(self, picture: ImageExample, rng: np.random.Generator) -> Sample:
        view = self._view(picture, rng)
        # Questions are about position and extent, so the view keeps them.
        view = replace(view, window=self._whole(picture).window, turn=0.0)
        question = picture.questions[int(rng.integers(len(picture.questions)))]
        text = vqa_text(question.question, question.choices, question.language)
        masks = self._masks(picture, [], view)
        image = render_view(picture.load_image(), view, self.size)
        return Sample("vqa", question.language, image, text, question.answer, masks, picture.image_id)

    def _masks(self, picture: ImageExample, phrases: Sequence[Iterable[int]], view: View) -> NDArray[np.bool_] | None:
        """The union of each phrase's classes as the view shows it."""
        if self.order is not None:
            return None
        masks = np.zeros((len(phrases), self.size, self.size), bool)
        for mask, classes in zip(masks, phrases, strict=True):
            whole = Image.fromarray(picture.mask(classes)).convert("RGB")
            mask[:] = render_view(whole, view.geometry, self.size, Image.Resampling.NEAREST)[..., 0] > 127
        return masks

    def _weights(self, group: Sequence[ExampleMention]) -> NDArray[np.float64]:
        """Probability of each mention: structures that reports name often are drawn more often."""
        weights = np.array(
            [max(self.frequencies[class_id] for class_id, _ in mention.targets) for mention in group], np.float64
        )
        return np.asarray(weights / weights.sum())

    def _whole(self, picture: ImageExample) -> View:
        return whole_view(picture.size, self.resize)

    def _view(self, picture: ImageExample, rng: np.random.Generator) -> View:
        whole = self._whole(picture)
        return random_view(rng, self.augment, whole) if self.augment else whole

    def _in_view(self, picture: ImageExample, mentions: Sequence[ExampleMention], view: View) -> list[ExampleMention]:
        """The mentions in a view, each with the boxes that are left of it; those without any are dropped."""
        share = self.augment.min_box_share if self.augment else 0.0
        remaining = []
        for mention in mentions:
            boxes = [
                (class_id, box_in_view(box, view, share, picture.outline(class_id) if view.turn else None))
                for class_id, box in mention.targets
            ]
            targets: tuple[tuple[int, Box], ...] = tuple((class_id, box) for class_id, box in boxes if box is not None)
            if targets:
                remaining.append(ExampleMention(mention.start, mention.end, mention.text, targets))
        return remaining

    def _name(self, class_id: int, language: str, rng: np.random.Generator) -> str:
        forms = self.forms[language, class_id]
        return forms[int(rng.integers(len(forms)))]
