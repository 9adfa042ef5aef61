"""`refrad predict CHECKPOINT IMAGE`: ask a trained model about one image, or about all of a folder."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from refrad.core.files import atomic
from refrad.inference.load_image import SUFFIXES, Opened, is_image
from refrad.inference.predictor import Finding, Reader
from refrad.reporting.drawing import class_colour

__all__ = ["draw", "main"]

SHORTEST = 512  # px of the written picture's shorter side, at least

AT_ONCE = 16  # images of a folder

log = logging.getLogger(__name__)


def main(
    *,
    checkpoint: Path,
    image: Path,
    slice: int | None = None,  # the flag's name
    modality: str | None = None,
    question: str | None = None,
    locate: str | None = None,
    indication: str | None = None,
    language: str = "en",
    out: Path = Path("predicted"),
    device: str = "auto",
) -> None:
    """Ask CHECKPOINT about IMAGE (.dcm, .png, .jpg, .nii, .nii.gz, or a folder of them): what does it show, and where?

    Prints the answer and its places, and writes a picture with boxes or masks into the folder OUT; of a folder of images also
    predictions.jsonl, and images that cannot be read are named and passed over. --question asks for an answer in words,
    --locate for a structure by name. --slice counts from 0; the default is the middle one. --modality (CT or MR) is for
    NIfTI, which does not say. --language is en or de. Research use only.
    """
    reader = Reader(checkpoint, device)
    asked = {"question": question, "locate": locate, "indication": indication, "language": language}
    if image.is_dir():
        _folder(reader, image, out, slice, modality, asked)  # type: ignore[arg-type]
        return
    finding = reader.read(image, index=slice, modality=modality, **asked)  # type: ignore[arg-type]
    for line in told(finding):
        print(line)
    print(f"picture: {_written(finding, out / _name(image))}")


def told(finding: Finding) -> Iterator[str]:
    """An answer in lines: how the image was understood, the text, and each place in px of the image."""
    yield f"image: {finding.image.note}"
    yield finding.text
    for place in finding.places:
        name = f" ({place.class_name})" if place.class_name else ""
        if place.box is not None:
            where = "x {0:.0f} to {2:.0f}, y {1:.0f} to {3:.0f}".format(*place.box)
        else:
            where = f"{0 if place.mask is None else int(place.mask.sum())} px"
        yield f"  {place.phrase}{name}: {where}"
    if finding.damaged:
        yield f"  {len(finding.damaged)} tags of the answer made no sense"


def _folder(
    reader: Reader, folder: Path, out: Path, index: int | None, modality: str | None, asked: dict[str, str]
) -> None:
    files = sorted(path for path in folder.rglob("*") if is_image(path))
    if not files:
        raise ValueError(f"{folder}: no DICOM file there, and none that ends in {', '.join(SUFFIXES)}")
    text, aside = reader.prompt(**asked), 0
    with atomic(out / "predictions.jsonl") as temporary, temporary.open("w", encoding="utf-8") as lines:
        for first in range(0, len(files), AT_ONCE):
            opened: dict[int, Opened] = {}
            errors: dict[int, str] = {}
            for number in range(first, min(first + AT_ONCE, len(files))):
                try:
                    opened[number] = reader.open(files[number], index, modality)
                except ValueError as error:
                    errors[number] = str(error)
            found = dict(zip(opened, reader.ask(list(opened.values()), text), strict=True))
            for number in sorted(opened.keys() | errors.keys()):
                row: dict[str, object] = {"file": files[number].relative_to(folder).as_posix()}
                if number in found:
                    row |= _row(found[number], out / f"{number:05d}-{_name(files[number])}")
                else:
                    row["error"] = errors[number]
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            aside += len(errors)
    print(
        f"{len(files)} files: {len(files) - aside} read, {aside} put aside with their reason: {out / 'predictions.jsonl'}"
    )


def _row(finding: Finding, path: Path) -> dict[str, object]:
    places = [
        {"phrase": one.phrase, "class": one.class_name, "box": one.box and [round(x, 1) for x in one.box]}
        for one in finding.places
    ]
    picture = _written(finding, path)
    return {"text": finding.text, "answer": finding.answer, "picture": picture.name, "places": places}


def _name(path: Path) -> str:
    return re.sub(r"(\.nii)?\.[^.]+$", "", path.name) + ".png"


def _written(finding: Finding, path: Path) -> Path:
    with atomic(path) as temporary:
        draw(finding).save(temporary)
    return path


def draw(finding: Finding) -> Image.Image:
    """The image (its second window, soft tissue in CT) with boxes, masks and phrases, each place in its own colour."""
    grey = finding.image.channels[1]
    height, width = grey.shape
    scale = max(1, -(-SHORTEST // min(height, width)))
    coloured = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    for number, place in enumerate(finding.places, 1):
        if place.mask is not None:
            coloured[place.mask] = 0.5 * coloured[place.mask] + 0.5 * np.array(class_colour(number))
    shown = Image.fromarray(coloured.astype(np.uint8)).resize((width * scale, height * scale), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(shown)
    for number, place in enumerate(finding.places, 1):
        colour, corner = class_colour(number), (4.0, 4.0 + 14 * number)
        if place.box is not None:
            box = [value * scale for value in place.box]
            pen.rectangle(box, outline=colour, width=2)
            corner = box[0] + 4, box[1] + 3
        pen.text(corner, place.phrase, fill=colour)
    return shown
