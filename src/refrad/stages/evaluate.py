"""Evaluate RadGrounder on the test patients, next to untrained weights, mean boxes and the blank-image ablation."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import polars as pl
import torch

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import EvaluateOptions, OtherModelOptions, TrainOptions
from refrad.core.files import atomic_folder
from refrad.core.manifests import verify_folder, write_sealed
from refrad.core.table_rows import rows_of
from refrad.core.tables import read_frame, write_frame
from refrad.dataset.examples import ExampleRow, ImageExample, example_of_row, read_image_table
from refrad.dataset.set_origins import count_sets, refuse_generated_reports, sets_of_images
from refrad.dataset.training_overlap import TrainingOverlap, find_training_overlap
from refrad.evaluation.answered_questions import (
    EvaluationImages,
    TrainedModel,
    answer_questions,
    build_codec,
)
from refrad.evaluation.headline import DEFINITIONS
from refrad.evaluation.local_model import ask_folder
from refrad.evaluation.metrics.json_lines import write_objects
from refrad.evaluation.metrics.judge import llm_scores, load_scale
from refrad.evaluation.metrics.records import TruthRecord, read_records
from refrad.evaluation.metrics.similarity import Embedder
from refrad.evaluation.metrics.text_metrics import TextMetric, load_text_metrics
from refrad.evaluation.other_models import OtherAnswers, ask_other_model, ask_server
from refrad.evaluation.other_scores import ItemScorer, compare_other_models
from refrad.evaluation.question_sample import QuestionSample, draw_questions, evenly, merge_samples
from refrad.evaluation.questions import EvalQuestion
from refrad.evaluation.record_rows import prediction_row, truth_row
from refrad.evaluation.regions import RegionCodec, phrase_classes
from refrad.evaluation.result import (
    EvaluationResult,
    RunDescription,
    analyse_errors,
    headline_with_baselines,
    tabulate_scores,
)
from refrad.llm import Models, open_models
from refrad.model.canary import check_image_input
from refrad.model.inference_weights import check_compute_dtype, load_for_inference
from refrad.model.processor import load_processor
from refrad.model.training_account import TRAINING
from refrad.training.provenance import weights_digest
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["run"]

VERSION = 6

log = logging.getLogger(__name__)


def run(
    *,
    checkpoint: Path,
    images: list[Path],
    schema: Path,
    store: Path,
    scale: Path,
    truth: Path,
    predictions: Path,
    scores: Path,
    others: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    public: list[Path] | None = None,
    trained: list[Path] | None = None,
    against: list[Path] | None = None,
    llm: str | None = None,
) -> None:
    """Write the questions, the answers of the model and their scores.

    `store` is the answer cache: a killed job resumes, and new metrics need no new answers. `public` and `trained` are benchmarks,
    files of `refrad public`: those whose test questions are included, and those that the model was trained on. `against` are
    scores of earlier runs, compared item by item. `others` is the folder of the answers and scores of other models.

    Raises:
        ValueError: if the checkpoint is damaged, there is no test question, a test image was trained on and evaluate.leaks.action is stop, or
            reports of test images were made from masks.
    """
    options = EvaluateOptions.model_validate(fingerprint.options)
    anatomy = load_schema(schema)
    refuse_generated_reports(count_sets(images))
    check_compute_dtype(options.compute_dtype)
    _load_text_metrics(options)  # what is missing is said before the model answers
    _warn_of_servers(options, llm)
    verify_folder(checkpoint)
    training, steps = _read_account(checkpoint)
    torch.set_num_threads(training.threads)
    overlap = _check_overlap([*images, *(trained or [])], [*images, *(public or [])], options)
    examples = _read_images(images, public or [], options.samples, overlap.test_ids, training.variant)

    # Answers
    model = _load_model(checkpoint, training, options.compute_dtype)
    codec = build_codec(model, examples, anatomy)
    answered = answer_questions(model, examples, codec, store, options)
    write_objects(truth, map(partial(truth_row, sets=sets_of_images(images)), answered.questions))
    write_objects(predictions, map(prediction_row, answered.questions, answered.answers, answered.decoded))

    # Scores
    names = {structure.id: structure.name for structure in anatomy.classes}
    with open_models(llm) as models:
        scorer = _open_scorer(truth, names, options, scale, models)
        items, counts = scorer.score(predictions)
        write_frame(scores, items)
        ask = partial(_ask_other, answered.questions, examples, anatomy, models, model.device, options.batch)
        with atomic_folder(others) as folder:
            compared = compare_other_models(options, training.variant, items, scorer, ask, folder)
        judge = models.name("score") if scorer.judge else None

    # Results
    earlier = ((path.parent.name, read_frame(path)) for path in against or [])
    result: EvaluationResult = {
        "stage": "evaluate",
        "fingerprint": fingerprint.text,
        **headline_with_baselines(answered, examples, codec, items, names, options.resamples),
        **tabulate_scores(items, options, earlier, training.variant),
        **analyse_errors(answered, examples, codec, anatomy, options.resamples),
        "answers": answered.lengths,
        "counts": counts,
        "judge": judge,
        "others": compared,
        **_describe_run(model, steps, codec, examples, overlap),
    }
    write_sealed(metrics, result, [truth, predictions, scores, *sorted(others.iterdir())])
    log.info("mean IoU %.3f; mean box %.3f", result["mean_iou"], result["baselines"]["mean_box"]["mean_iou"])


def _warn_of_servers(options: EvaluateOptions, llm: str | None) -> None:
    """Log which servers of other models would not answer now: the model's own answers may take hours before they are needed."""
    with open_models(llm) as models:
        for entry in options.others:
            if entry.folder is None and (problem := models.find_problem(entry.role)):
                log.warning(
                    "evaluate.others: %s: %s; it is needed after the answers of the evaluated model",
                    entry.name,
                    problem,
                )


def _read_account(checkpoint: Path) -> tuple[TrainOptions, int]:
    """The options of the model's training, and the number of its steps."""
    account = json.loads((checkpoint / TRAINING).read_text(encoding="utf-8"))
    return TrainOptions.from_stored(Fingerprint.parse(account["fingerprint"]).options), account["steps"]


def _check_overlap(training: Sequence[Path], tested: Sequence[Path], options: EvaluateOptions) -> TrainingOverlap:
    overlap = find_training_overlap(training, tested, options.leaks.correlation)
    if overlap.test_ids and options.leaks.action == "stop":
        raise ValueError(
            f"evaluate: {overlap.sentence()}; set evaluate.leaks.action to drop to leave their questions out"
        )
    log.info("leaks: of %d images compared, %s", overlap.compared, overlap.sentence())
    return overlap


def _read_images(
    shards: Sequence[Path], public: Sequence[Path], samples: int, leaking: Collection[str], variant: str
) -> EvaluationImages:
    """The test images of the shards and of each benchmark without the leaking ones, at most `samples` a task, and training images.

    Mean masks are computed from at most `samples` training images, since they are slower to decode than boxes.
    """
    test, sample = _test_images(shards, samples, leaking)
    if not test:
        raise ValueError("no image of a test patient has a caption: raise index.test, or see the report page of shards")
    if not sample.images["locate"]:
        raise ValueError(
            "no image of a test patient has a caption with a region: raise index.test, or see the report page of grounded"
        )
    benchmarks, sampled = {}, [sample]
    for path in public:
        images, sample = _test_images([path], samples, leaking)
        if not images:
            raise ValueError(
                f"{path}: no test question in it that was not trained on; does the folder it was made from have the test split?"
            )
        benchmarks[images[0].image_id.split(":")[0]] = images  # image ids begin with the name of the benchmark
        sampled.append(sample)
    training = read_image_table(shards, {"train"}, pixels=False)
    training_images = _examples(training[evenly(len(training), samples)] if variant == "segmentation" else training)
    return EvaluationImages(test, benchmarks, training_images, merge_samples(sampled))


def _test_images(
    paths: Sequence[Path], samples: int, leaking: Collection[str]
) -> tuple[list[ImageExample], QuestionSample]:
    frame = read_image_table(paths, {"test"}).filter(~pl.col("image_id").is_in(leaking))
    sample = draw_questions(frame, samples)
    return _examples(frame.filter(pl.col("image_id").is_in(sample.image_ids))), sample


def _examples(frame: pl.DataFrame) -> list[ImageExample]:
    return [example_of_row(row) for row in rows_of(frame, ExampleRow)]


def _load_model(checkpoint: Path, training: TrainOptions, dtype: str) -> TrainedModel:
    processor = load_processor(checkpoint)
    device = torch.device("cuda" if training.gpus and torch.cuda.is_available() else "cpu")
    model = load_for_inference(checkpoint, processor, dtype)
    model.to(device)  # type: ignore[arg-type]
    check_image_input(model)
    config = (checkpoint / "config.json").read_bytes()
    return TrainedModel(model, processor, training, weights_digest(checkpoint), config, device, dtype)


def _describe_run(
    model: TrainedModel, steps: int, codec: RegionCodec, examples: EvaluationImages, overlap: TrainingOverlap
) -> RunDescription:
    return {
        "variant": model.training.variant,
        "marks": codec.name,
        "images": len(examples.test),
        "images_of_task": examples.images_of_task,
        "steps": steps,
        "leaks": {"looked": overlap.compared, "found": len(overlap.test_ids)},
        "definitions": DEFINITIONS,
        "weights": model.weights,
    }


def _load_text_metrics(options: EvaluateOptions) -> dict[str, TextMetric]:
    model = Path(options.bertscore_model) if options.bertscore_model else None
    return load_text_metrics(options.text_metrics, model, options.bertscore_layer)


def _open_scorer(
    truth: Path, names: Mapping[int, str], options: EvaluateOptions, scale: Path, models: Models
) -> ItemScorer:
    judge = partial(llm_scores, models=models, scale=load_scale(scale)) if options.judge == "llm" else None
    similarity = Embedder(Path(options.embedder)) if options.embedder else None
    return ItemScorer(read_records(truth, TruthRecord), names, similarity, judge, _load_text_metrics(options))


def _ask_other(
    questions: Sequence[EvalQuestion],
    examples: EvaluationImages,
    anatomy: Schema,
    models: Models,
    device: torch.device,
    batch: int,
    entry: OtherModelOptions,
) -> OtherAnswers:
    """The answers of another model; a label has the class that the schema and the captions of the images give the phrase."""
    answerer = (
        ask_server(models) if entry.folder is None else ask_folder(Path(entry.folder), models.store, device, batch)
    )
    classes = phrase_classes([*examples.training, *examples.test], anatomy)
    images = {image.image_id: image for image in examples.shown}
    return ask_other_model(entry, questions, images, classes, answerer)
