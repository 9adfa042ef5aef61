"""The model before training."""

from collections.abc import Iterable
from pathlib import Path

from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.anatomy.schema import Schema
from refrad.config import TrainOptions
from refrad.dataset.example_rows import ExampleRows, examples_in
from refrad.model.base_model import base_model
from refrad.model.processor import load_processor, tiny_processor
from refrad.model.prompts import every_prompt
from refrad.model.radgrounder import PATCH, add_head, load_model, tiny_model

__all__ = ["initial_model"]


def initial_model(
    options: TrainOptions, rows: ExampleRows, anatomy: Schema
) -> tuple[PaliGemmaProcessor, PaliGemmaForConditionalGeneration]:
    """Processor and model before training, with a mask head in the segmentation variant.

    Args:
        options: of stage train; model "tiny" is made from scratch, any other is read from its folder.
        rows: of the training; the tiny model's tokenizer is trained on their texts.
        anatomy: class schema; the tokenizer is trained on the names of the classes too.

    Raises:
        ValueError: if the folder has no base model, or one that takes no images of this size or does not support an option.
    """
    processor, model = _without_head(options, rows, anatomy)
    if options.variant == "segmentation":
        add_head(model, processor, options.seed)
    return processor, model


def _without_head(
    options: TrainOptions, rows: ExampleRows, anatomy: Schema
) -> tuple[PaliGemmaProcessor, PaliGemmaForConditionalGeneration]:
    """From scratch for "tiny", else from the folder."""
    if options.model == "tiny":
        processor = tiny_processor(_texts(rows, anatomy), options.image_size, PATCH)
        return processor, tiny_model(processor, options.seed)
    if options.model is None:
        raise ValueError("train.model is null: name tiny, or a folder with a PaliGemma 2 or Qwen3-VL")
    folder = Path(options.model)
    try:
        base = base_model(folder)
    except ValueError as error:
        raise ValueError(f"train.model: {error}, or tiny") from None
    base.check_options(options, folder)
    processor = load_processor(folder, options.image_size)
    return processor, load_model(folder, processor, options.attention)


def _texts(rows: ExampleRows, anatomy: Schema) -> Iterable[str]:
    """Texts for the tokenizer: prompts, names of classes, and the captions and questions of the rows."""
    yield from every_prompt()
    for anatomy_class in anatomy.classes:
        yield from (anatomy_class.english, anatomy_class.german)
    for example in examples_in(rows):
        for caption in example.captions:
            yield from (caption.text, caption.indication or "", caption.question or "")
        for question in example.questions:
            yield from (question.question, *question.choices, question.answer)
