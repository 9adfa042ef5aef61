"""The layout that the loaders of the paper's released code read.

    images/{id[:2]}/{id}.dcm.zst      a DICOM image (HU for CT), zstd
    segments/{id[:2]}/{id}.npy        uint8 [row, column], class ids
    dataset.parquet                   rsopid, modality, body_part, split; english and german sentences with their questions
    rsopid_2_segment_v3_{ct,mr}.json  boxes [x1, y1, x2, y2, class] (exclusive px), keywords [text, class name, class]
    filtered_{ct,mr}_splits/snippet2rsopids_{split}_{ct,mr}_only.json

An id of theirs is an image with one sentence, so an image of several sentences has several ids and one DICOM file of several
names. Their file names one class per keyword twice if a phrase has two classes: nothing is lost, the order is that of spans.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import zstandard
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from refrad.core.files import atomic, write_json
from refrad.dataset.exports.image_files import write_bytes
from refrad.dataset.image_codec import decode_mask
from refrad.dicom.slices import image_at

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
LANGUAGES = {"en": "english", "de": "german"}
KEYWORDS = {"en": "keywords_eng", "de": "keywords_de"}


def export(rows: Iterable[Mapping[str, Any]], names: Mapping[int, str], files: Mapping[str, Path], out: Path) -> None:
    """Write the layout. `files`: volume to its NIfTI. The JSON files are held in memory, as their format demands."""
    segments: dict[str, dict[str, Any]] = {"ct": {}, "mr": {}}
    snippets: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    with atomic(out / "dataset.parquet") as temporary, pq.ParquetWriter(temporary, ROW, compression="zstd") as writer:
        group: list[dict[str, Any]] = []
        for row, image in _with_images(rows, files):
            kind = row["modality"].lower()
            for rsopid, sentence, captions in _pairs(row):
                _write_image(out, rsopid, row, image)
                group.append(
                    {
                        "rsopid": rsopid,
                        **{key: row[key] for key in ("modality", "body_part", "split")},
                        **_texts(row, captions),
                    }
                )
                segments[kind][rsopid] = _segments(rsopid, row, captions, names)
                snippets[row["split"], kind][sentence].append(rsopid)
            if len(group) >= ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(group, ROW))
                group = []
        writer.write_table(pa.Table.from_pylist(group, ROW))
    for kind, found in segments.items():
        write_json(out / f"rsopid_2_segment_v3_{kind}.json", found)
    for (split, kind), told in snippets.items():
        write_json(out / f"filtered_{kind}_splits" / f"snippet2rsopids_{split}_{kind}_only.json", told)


def dicom_of(row: Mapping[str, Any], image: NDArray[np.int16]) -> bytes:
    """A minimal DICOM file of an image [row, column], without anything about the patient but pseudonyms."""
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


def _with_images(
    rows: Iterable[Mapping[str, Any]], files: Mapping[str, Path]
) -> Iterator[tuple[Mapping[str, Any], NDArray[np.int16]]]:
    """Each row with its image [row, column]; rows come volume by volume, so that one is in memory at a time."""
    name, values = None, np.zeros((0, 0, 0), np.int16)
    for row in rows:
        if row["volume"] != name:
            name = row["volume"]
            if name not in files:
                raise ValueError(f"volume {name} of the dataset is not in the tables of stage volumes: give --volumes")
            image: Any = nib.load(files[name])  # type: ignore[attr-defined]
            values = np.asarray(image.dataobj, np.int16)
        yield row, image_at(values, row["index"])


def _pairs(row: Mapping[str, Any]) -> Iterator[tuple[str, str, list[Mapping[str, Any]]]]:
    """An id, a sentence, and its captions in the languages there are."""
    sentences: dict[str, list[Mapping[str, Any]]] = {}
    for one in row["captions"]:
        sentences.setdefault(one["sentence"], []).append(one)
    for number, (sentence, captions) in enumerate(sentences.items()):
        yield row["image_id"] + (f"-{number}" if number else ""), sentence, captions


def _write_image(out: Path, rsopid: str, row: Mapping[str, Any], image: NDArray[np.int16]) -> None:
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


def _labels(row: Mapping[str, Any]) -> NDArray[np.uint8]:
    labels = np.zeros((row["height"], row["width"]), np.uint8)
    for one in row["structures"]:
        labels[decode_mask(one["rle"], row["height"], row["width"])] = one["class_id"]
    return labels


def _texts(row: Mapping[str, Any], captions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Their structs of both languages; null where a language is not there."""
    found: dict[str, Any] = {}
    for one in captions:
        asked = [q for q in row["questions"] if q["language"] == one["language"]]
        found[LANGUAGES[one["language"]]] = {
            "CleanedSentence": one["text"],
            "ReportFragestellungCleaned": one["question"],
            "ReportKlinischeAngabenCleaned": one["indication"],
            "dicom_vqa": [_asked(q) for q in asked if q["topic"] == "metadata"],
            "snippet_vqa": [_asked(q) for q in asked if q["topic"] == "findings"],
        }
    return found


def _asked(question: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: question[key] for key in ("question", "answer", "choices")}
    return told | {"question_type": question["kind"]}


def _segments(
    rsopid: str, row: Mapping[str, Any], captions: Sequence[Mapping[str, Any]], names: Mapping[int, str]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "bboxes": [[s["x_min"], s["y_min"], s["x_max"], s["y_max"], s["class_id"]] for s in row["structures"]],
        "segment_slice_path": f"segments/{rsopid[:2]}/{rsopid}.npy",
        **{key: [] for key in KEYWORDS.values()},
    }
    for caption in captions:
        found[KEYWORDS[caption["language"]]] = [
            [one["text"], names[one["class_id"]], one["class_id"]] for one in caption["entities"]
        ]
    return found
