"""`refrad predict CHECKPOINT IMAGE`: predictions of a trained model for an image, or for all images of a folder."""

import logging
import re
from collections.abc import Iterator
from json import dumps
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
from PIL import Image, ImageDraw

from refrad.anatomy.schema import load_schema
from refrad.core.files import atomic, flushed_at_end
from refrad.core.installation import resolve_shipped
from refrad.inference.answer_files import AnswerFiles, ObjectKind
from refrad.inference.answer_segmentation import AnswerContext
from refrad.inference.load_image import SUFFIXES, LoadedImage, is_image
from refrad.inference.predictor import ANSWER_TOKENS, Prediction, Predictor
from refrad.reporting.palette import class_colour
from refrad.training.provenance import weights_digest

__all__ = ["draw", "main"]

SHORTEST = 512  # px, at least, of the shorter side of the written picture
BATCH = 16  # images of a folder that are answered together

log = logging.getLogger(__name__)

# A region: phrase, name of its class or None, and x_min, y_min, x_max, y_max in px of the image, or None with a mask.
PlaceRow = TypedDict("PlaceRow", {"phrase": str, "class": str | None, "box": list[float] | None})


class ImagePrediction(TypedDict):
    """A prediction in JSON: text without tags, the answer as generated and whether it was cut, the name of the picture, and the regions.

    With --dicom also the names of the DICOM files, and the reasons why some are missing.
    """

    text: str
    answer: str
    cut: bool
    picture: str
    places: list[PlaceRow]
    dicom: NotRequired[list[str]]
    dicom_missing: NotRequired[list[str]]


class FilePrediction(ImagePrediction):
    """A line of predictions.jsonl; `file` is relative to the folder."""

    file: str


class UnreadableFile(TypedDict):
    """A line of predictions.jsonl for a file that cannot be read, with the reason."""

    file: str
    error: str


def main(
    checkpoint: Path,
    image: Path,
    *,
    slice: int | None = None,  # the flag's name
    modality: str | None = None,
    question: str | None = None,
    locate: str | None = None,
    indication: str | None = None,
    language: str = "en",
    no_regions: bool = False,
    out: Path = Path("predicted"),
    device: str = "auto",
    answer_tokens: int = ANSWER_TOKENS,
    compute_dtype: str = "float32",
    json: bool = False,
    dicom: list[ObjectKind] | None = None,
    schema: Path = Path("workflow/anatomy/classes.yaml"),
) -> None:
    """Caption IMAGE (.dcm, .png, .jpg, .nii, .nii.gz, or a folder of them) with the model in CHECKPOINT, with boxes or masks.

    Prints the answer and its regions, and writes a picture with boxes or masks into the folder OUT; for a folder of images also
    predictions.jsonl, which gives the reason for each image that cannot be read. --question asks a question, --locate names a
    structure to find, --no-regions demands a caption without boxes or masks.
    --slice counts from 0; the default is the middle one. --modality (CT or MR) is for NIfTI, which does not
    state it. --language is en or de. Answers longer than --answer-tokens
    are cut, which is reported. --compute-dtype bfloat16 halves the memory of the weights. --json prints a JSON object an image instead, like the lines of
    predictions.jsonl. --dicom seg sr writes, for a DICOM image, a segmentation of the regions and a structured report of the answer,
    with the codes of --schema; both identify the patient. Research use only.
    """
    predictor = Predictor(checkpoint, device, answer_tokens, compute_dtype)
    prompt = predictor.prompt(question, locate, indication, language, regions=not no_regions)
    files = None
    if dicom:
        context = AnswerContext(weights_digest(checkpoint), language, load_schema(resolve_shipped(schema)))
        files = AnswerFiles(dicom, context)
    if image.is_dir():
        read = failed = 0
        for row in _predict_folder(predictor, image, out, slice, modality, prompt, files):
            failed += "error" in row
            read += "error" not in row
            if json:
                print(dumps(row, ensure_ascii=False))
        if not json:
            reasons = f"with the reason in {out / 'predictions.jsonl'}"
            print(f"{read + failed} files: {read} read, {failed} could not be read, {reasons}")
        return
    loaded = predictor.load(image, slice, modality)
    if dicom and loaded.origin is None:
        raise ValueError(
            f"{image.name}: --dicom needs a DICOM image, whose study the answer belongs to; leave --dicom out"
        )
    prediction = predictor.predict_batch([loaded], prompt)[0]
    row_of_image = _row(prediction, out / _picture_name(image), files)
    if json:
        print(dumps(row_of_image, ensure_ascii=False))
        return
    for line in report_lines(prediction):
        print(line)
    print(f"picture: {out / row_of_image['picture']}")
    for name in row_of_image.get("dicom", []):
        print(f"DICOM: {out / name}")
    for reason in row_of_image.get("dicom_missing", []):
        print(f"DICOM: {reason}")


def report_lines(prediction: Prediction) -> Iterator[str]:
    """A prediction in lines: properties of the image, the text, and each region in px of the image."""
    yield f"image: {prediction.image.note}"
    yield prediction.text
    for region in prediction.regions:
        name = f" ({region.class_name})" if region.class_name else ""
        if region.box is not None:
            extent = "x {0:.0f} to {2:.0f}, y {1:.0f} to {3:.0f}".format(*region.box)
        else:
            extent = f"{0 if region.mask is None else int(region.mask.sum())} px"
        yield f"  {region.phrase}{name}: {extent}"
    if prediction.cut:
        yield "  the answer is cut: --answer-tokens allows no more tokens"
    if prediction.damaged:
        yield f"  {len(prediction.damaged)} tags of the answer could not be read"


def _predict_folder(
    predictor: Predictor,
    folder: Path,
    out: Path,
    index: int | None,
    modality: str | None,
    prompt: str,
    answer_files: AnswerFiles | None,
) -> Iterator[FilePrediction | UnreadableFile]:
    """The rows of predictions.jsonl, which it writes along with the pictures."""
    files = sorted(path for path in folder.rglob("*") if is_image(path))
    if not files:
        raise ValueError(f"{folder}: no DICOM file there, and none that ends in {', '.join(SUFFIXES)}")
    with (
        flushed_at_end(out),
        atomic(out / "predictions.jsonl") as temporary,
        temporary.open("w", encoding="utf-8") as lines,
    ):
        for first in range(0, len(files), BATCH):
            images: dict[int, LoadedImage] = {}
            errors: dict[int, str] = {}
            for number in range(first, min(first + BATCH, len(files))):
                try:
                    images[number] = predictor.load(files[number], index, modality)
                except ValueError as error:
                    errors[number] = str(error)
            predictions = dict(zip(images, predictor.predict_batch(list(images.values()), prompt), strict=True))
            for number in sorted(images.keys() | errors.keys()):
                name = files[number].relative_to(folder).as_posix()
                row: FilePrediction | UnreadableFile
                if number in predictions:
                    picture = out / f"{number:05d}-{_picture_name(files[number])}"
                    row = {"file": name, **_row(predictions[number], picture, answer_files)}
                else:
                    row = {"file": name, "error": errors[number]}
                lines.write(dumps(row, ensure_ascii=False) + "\n")
                yield row


def _row(prediction: Prediction, path: Path, answer_files: AnswerFiles | None) -> ImagePrediction:
    """The row of a prediction, whose picture is written to `path`, and its DICOM files next to it."""
    places: list[PlaceRow] = [
        {
            "phrase": region.phrase,
            "class": region.class_name,
            "box": region.box and [round(side, 1) for side in region.box],
        }
        for region in prediction.regions
    ]
    picture = _write_picture(prediction, path)
    row: ImagePrediction = {
        "text": prediction.text,
        "answer": prediction.answer,
        "cut": prediction.cut,
        "picture": picture.name,
        "places": places,
    }
    if answer_files:
        row["dicom"], row["dicom_missing"] = answer_files.write(prediction, path.parent, path.stem)
    return row


def _picture_name(path: Path) -> str:
    return re.sub(r"(\.nii)?\.[^.]+$", "", path.name) + ".png"


def _write_picture(prediction: Prediction, path: Path) -> Path:
    with atomic(path) as temporary:
        draw(prediction).save(temporary)
    return path


def draw(prediction: Prediction) -> Image.Image:
    """The image (its second window, soft tissue in CT) with boxes, masks and phrases, each region in its own colour."""
    grey = prediction.image.channels[1]
    height, width = grey.shape
    scale = max(1, -(-SHORTEST // min(height, width)))
    coloured = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    for number, region in enumerate(prediction.regions, 1):
        if region.mask is not None:
            coloured[region.mask] = 0.5 * coloured[region.mask] + 0.5 * np.array(class_colour(number))
    picture = Image.fromarray(coloured.astype(np.uint8)).resize(
        (width * scale, height * scale), Image.Resampling.NEAREST
    )
    pen = ImageDraw.Draw(picture)
    for number, region in enumerate(prediction.regions, 1):
        colour, corner = class_colour(number), (4.0, 4.0 + 14 * number)
        if region.box is not None:
            box = [value * scale for value in region.box]
            pen.rectangle(box, outline=colour, width=2)
            corner = box[0] + 4, box[1] + 3
        pen.text(corner, region.phrase, fill=colour)
    return picture
