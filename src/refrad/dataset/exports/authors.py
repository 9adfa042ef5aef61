"""The layout that the loaders of the paper's released code expect.

    images/{id[:2]}/{id}.dcm.zst      a DICOM image (HU for CT), zstd
    segments/{id[:2]}/{id}.npy        uint8 [row, column], class ids
    dataset.parquet                   rsopid, modality, body_part, split; english and german sentences with their questions
    rsopid_2_segment_v3_{ct,mr}.json  boxes [x1, y1, x2, y2, class] (exclusive px), keywords [text, class name, class]
    filtered_{ct,mr}_splits/snippet2rsopids_{split}_{ct,mr}_only.json

An rsopid is an image with one sentence, so an image with several sentences has several ids, and one DICOM file with several
names (hard links). A phrase with two classes appears twice among the keywords, in the order of the spans.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import zstandard
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from refrad.core.files import atomic, write_json
from refrad.dataset.exports import ExportSource
from refrad.dataset.exports.image_files import write_bytes
from refrad.dataset.image_codec import decode_mask
from refrad.dataset.shard_rows import CaptionStruct, ImageRow, QuestionStruct
from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume

__all__ = ["dicom_of", "export"]

VQA = pa.list_(
    pa.struct(
        [(name, pa.string()) for name in ("question", "answer", "question_type")] + [("choices", pa.list_(pa.string()))]
    )
)
TEXTS = pa.struct(
    [(name, pa.string()) for name in ("CleanedSentence", "ReportFragestellungCleaned", "ReportKlinischeAngabenCleaned")]
    + [("dicom_vqa", VQA), ("snippet_vqa", VQA)]
)
ROW = pa.schema(
    [(name, pa.string()) for name in ("rsopid", "modality", "body_part", "split")]
    + [("english", TEXTS), ("german", TEXTS)]
)
ROWS_PER_GROUP = 1000


class _Question(TypedDict):
    question: str
    answer: str
    choices: list[str]
    question_type: str


class _Texts(TypedDict):
    CleanedSentence: str
    ReportFragestellungCleaned: str | None
    ReportKlinischeAngabenCleaned: str | None
    dicom_vqa: list[_Question]
    snippet_vqa: list[_Question]


class _DatasetRow(TypedDict):
    rsopid: str
    modality: str
    body_part: str | None
    split: str
    english: _Texts | None
    german: _Texts | None


Keyword = list[str | int]
"""Text, class name and class of a grounded phrase."""


class _Segments(TypedDict):
    bboxes: list[list[int]]
    segment_slice_path: str
    keywords_eng: list[Keyword]
    keywords_de: list[Keyword]


def export(source: ExportSource, out: Path) -> None:
    """Write the layout. The JSON files are held in memory, since their format is one object each.

    Raises:
        ValueError: if the NIfTI file of a volume is not among `source.volume_files`.
    """
    segments: dict[str, dict[str, _Segments]] = {"ct": {}, "mr": {}}
    snippets: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    with atomic(out / "dataset.parquet") as temporary, pq.ParquetWriter(temporary, ROW, compression="zstd") as writer:
        group: list[_DatasetRow] = []
        for row, image in _with_images(source.rows(), source.volume_files):
            modality = row["modality"].lower()
            for rsopid, sentence, captions in _sentences(row):
                _write_image(out, rsopid, row, image)
                group.append(_dataset_row(rsopid, row, captions))
                segments[modality][rsopid] = _segments(rsopid, row, captions, source.class_names)
                snippets[row["split"], modality][sentence].append(rsopid)
            if len(group) >= ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(group, ROW))
                group = []
        writer.write_table(pa.Table.from_pylist(group, ROW))
    for modality, by_id in segments.items():
        write_json(out / f"rsopid_2_segment_v3_{modality}.json", by_id)
    for (split, modality), ids in snippets.items():
        write_json(out / f"filtered_{modality}_splits" / f"snippet2rsopids_{split}_{modality}_only.json", ids)


def dicom_of(row: ImageRow, image: NDArray[np.int16]) -> bytes:
    """A minimal DICOM file of an image int16 [row, column], HU for CT; the patient appears as pseudonyms only."""
    dataset = pydicom.Dataset()
    dataset.SOPClassUID = CTImageStorage if row["modality"] == "CT" else MRImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[row["image_id"]])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[row["study"]])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[row["volume"]])
    dataset.Modality, dataset.PatientID, dataset.PatientName = row["modality"], row["patient"], row["patient"]
    dataset.PatientIdentityRemoved = "YES"
    dataset.InstanceNumber = row["index"] + 1
    dataset.Rows, dataset.Columns = image.shape
    dataset.PixelSpacing = [round(row["spacing_y"], 6), round(row["spacing_x"], 6)]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
    if row["modality"] == "CT":
        dataset.RescaleType = "HU"
    dataset.PixelData = np.ascontiguousarray(image, "<i2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = pydicom.filebase.DicomBytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return bytes(buffer.getvalue())


def _with_images(rows: Iterable[ImageRow], files: Mapping[str, Path]) -> Iterator[tuple[ImageRow, NDArray[np.int16]]]:
    """Each row with its image [row, column]; rows are sorted by volume, so one volume is in memory at a time."""
    volume, values = None, np.zeros((0, 0, 0), np.int16)
    for row in rows:
        if row["volume"] != volume:
            volume = row["volume"]
            if volume not in files:
                raise ValueError(
                    f"volume {volume} of the dataset is not in the tables of stage volumes: give --volumes"
                )
            values, _ = read_volume(files[volume])
        yield row, image_at(values, row["index"])


def _sentences(row: ImageRow) -> Iterator[tuple[str, str, list[CaptionStruct]]]:
    """Id, sentence, and the captions of the sentence, one per language."""
    sentences: dict[str, list[CaptionStruct]] = {}
    for caption in row["captions"]:
        sentences.setdefault(caption["sentence"], []).append(caption)
    for number, (sentence, captions) in enumerate(sentences.items()):
        yield row["image_id"] + (f"-{number}" if number else ""), sentence, captions


def _write_image(out: Path, rsopid: str, row: ImageRow, image: NDArray[np.int16]) -> None:
    """The DICOM file and the labels; further ids of an image are further names of the same files."""
    first = row["image_id"]
    for folder, suffix in (("images", ".dcm.zst"), ("segments", ".npy")):
        path = out / folder / rsopid[:2] / f"{rsopid}{suffix}"
        if rsopid != first:
            path.unlink(missing_ok=True)
            os.link(out / folder / first[:2] / f"{first}{suffix}", path)
        elif folder == "images":
            write_bytes(path, zstandard.compress(dicom_of(row, image)))
        else:
            with atomic(path) as temporary:
                np.save(temporary, _labels(row))


def _labels(row: ImageRow) -> NDArray[np.uint8]:
    labels = np.zeros((row["height"], row["width"]), np.uint8)
    for structure in row["structures"]:
        labels[decode_mask(structure["rle"], row["height"], row["width"])] = structure["class_id"]
    return labels


def _dataset_row(rsopid: str, row: ImageRow, captions: Sequence[CaptionStruct]) -> _DatasetRow:
    """A row of dataset.parquet; `english` and `german` are null for a language without a caption."""
    texts = {caption["language"]: _texts(row, caption) for caption in captions}
    return {
        "rsopid": rsopid,
        "modality": row["modality"],
        "body_part": row["body_part"],
        "split": row["split"],
        "english": texts.get("en"),
        "german": texts.get("de"),
    }


def _texts(row: ImageRow, caption: CaptionStruct) -> _Texts:
    questions = [question for question in row["questions"] if question["language"] == caption["language"]]
    return {
        "CleanedSentence": caption["text"],
        "ReportFragestellungCleaned": caption["question"],
        "ReportKlinischeAngabenCleaned": caption["indication"],
        "dicom_vqa": [_question(question) for question in questions if question["topic"] == "metadata"],
        "snippet_vqa": [_question(question) for question in questions if question["topic"] == "findings"],
    }


def _question(question: QuestionStruct) -> _Question:
    return {
        "question": question["question"],
        "answer": question["answer"],
        "choices": question["choices"],
        "question_type": question["kind"],
    }


def _segments(rsopid: str, row: ImageRow, captions: Sequence[CaptionStruct], names: Mapping[int, str]) -> _Segments:
    keywords: dict[str, list[Keyword]] = {
        caption["language"]: [
            [entity["text"], names[entity["class_id"]], entity["class_id"]] for entity in caption["entities"]
        ]
        for caption in captions
    }
    return {
        "bboxes": [
            [structure["x_min"], structure["y_min"], structure["x_max"], structure["y_max"], structure["class_id"]]
            for structure in row["structures"]
        ],
        "segment_slice_path": f"segments/{rsopid[:2]}/{rsopid}.npy",
        "keywords_eng": keywords.get("en", []),
        "keywords_de": keywords.get("de", []),
    }
