"""The layout that the loaders of the paper's released code expect (lmb-freiburg/radgrounder, docs/DATASET_FORMAT).

    images/{id[:2]}/{id}.dcm.zst      a DICOM image (HU for CT), zstd
    segments/{id[:2]}/{id}.npy        uint8 [row, column], class ids
    slices/{id[:2]}/{id}.npy          float32 [row, column], the values of the image
    dataset.parquet                   rsopid, modality, body_part, split; english and german sentences with their questions
    rsopid_2_segment_v3_{ct,mr}.json  boxes [x1, y1, x2, y2, class] (exclusive px), keywords [text, class name, class]
    refrad2d_sampled_dataset_v3_{ct,mr}.json    images with boxes, for questions about what is visible
    filtered_{ct,mr}_splits/snippet2rsopids_{train,val,test}_{ct,mr}_only.json
    label_map/                        class names and ids, for a class schema other than the paper's
    environment.sh                    the environment variables that lead the loaders here

An rsopid is an image with one sentence, so an image with several sentences has several ids, and one DICOM file with several
names (hard links). Paths in the JSON files are absolute. The loaders read a sentence in both languages and draw a question in
each, so sentences that lack either are left out and counted.
"""

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from refrad.core.files import atomic, write_json
from refrad.core.types import MODALITIES
from refrad.dataset.exports.authors_images import ARRAY, LABELS, link_image, path_of, with_images, write_image
from refrad.dataset.exports.authors_keywords import Keyword, keywords_of, masks_are_in_order
from refrad.dataset.exports.authors_rows import (
    ROW,
    SPLIT_NAMES,
    DatasetRow,
    by_sentence,
    dataset_row,
    has_questions,
    is_bilingual,
)
from refrad.dataset.exports.export_tally import UNITS
from refrad.dataset.exports.image_files import write_bytes
from refrad.dataset.exports.source import ExportSource, FileNames
from refrad.dataset.shard_io import read_rows
from refrad.dataset.shard_rows import CaptionStruct, ImageRow, QuestionStruct

__all__ = ["export"]

ROWS_PER_GROUP = 1000
ONE_LANGUAGE = (
    "the sentence is there in one language, and the loaders read both: captions.translate: llm adds the other"
)
NO_QUESTION = "the image has no question in both languages, and the loaders draw one of each"
UNBOXED = "sentences have keywords in one language only, so that the loaders show them without boxes"
SHIFTED = (
    "sentences get their boxes right, but their masks in another order from the segmentation loader, which sorts them by the length of"
    " the keyword"
)
REPORTS_ONLY = 'images without questions: call the loaders with question_types="report"'
NOTHING = (
    "nothing to export: no sentence is there in both German and English, and the paper's loaders read both;"
    " set captions.translate: llm (and llm.translate) in the config, and run `snakemake shards card`"
)
LANGUAGE_WORDS = {"en": "english", "de": "german"}
# Of radgrounder/paths.py; the paths are relative to the export.
VARIABLES = {
    "REFRAD2D_DICOM_DIR": "images",
    "REFRAD2D_VQA_PARQUET": "dataset.parquet",
    "REFRAD2D_SEGMENT_DIR": "",
    "REFRAD2D_SPLIT_DIR": "",
    "REFRAD2D_LABEL_MAP": "label_map/merged_label_map.json",
}


class _Texts(TypedDict):
    captions: list[CaptionStruct]
    questions: list[QuestionStruct]


class _Segments(TypedDict):
    bboxes: list[list[int]]
    segment_slice_path: str
    keywords_eng: list[Keyword]
    keywords_de: list[Keyword]


class _Sampled(TypedDict):
    rsopid: str
    modality: str
    scan_slice_path: str
    segment_slice_path: str
    bboxes: list[list[int]]


def export(source: ExportSource, out: Path) -> None:
    """Write the layout. The JSON files are held in memory, since their format is one object each.

    Raises:
        ValueError: if no sentence is there in both languages, or the NIfTI file of a volume is not among
            `source.volume_files`.
    """
    layout = _Layout(source, out)
    with atomic(out / "dataset.parquet") as temporary, pq.ParquetWriter(temporary, ROW, compression="zstd") as writer:
        group: list[DatasetRow] = []
        for row, image in with_images(layout.usable_rows(), source.volume_files):
            group += layout.add(row, image)
            if len(group) >= ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(group, ROW))
                group = []
        writer.write_table(pa.Table.from_pylist(group, ROW))
    layout.write()


class _Layout:
    """The tables of the layout as they grow, and what they have of each row."""

    def __init__(self, source: ExportSource, out: Path) -> None:
        self._source, self._out, self._tally = source, out, source.tally
        self._names = FileNames()
        self._ids: dict[str, str] = {}
        modalities = [modality.lower() for modality in MODALITIES]
        self._segments: dict[str, dict[str, _Segments]] = {modality: {} for modality in modalities}
        self._sampled: dict[str, dict[str, _Sampled]] = {modality: {} for modality in modalities}
        self._snippets: dict[tuple[str, str], dict[str, list[str]]] = {
            (split, modality): defaultdict(list) for split in SPLIT_NAMES for modality in modalities
        }
        self._with_questions = self._look_ahead()

    def _look_ahead(self) -> bool:
        """Whether any image has the questions that the loaders draw.

        Raises:
            ValueError: if no sentence is there in both languages.
        """
        bilingual = questions = False
        for row in read_rows(self._source.files, _Texts):
            bilingual |= any(is_bilingual(captions) for captions in by_sentence(row["captions"] or ()).values())
            questions |= has_questions(row["questions"] or ())
        if not bilingual:
            raise ValueError(NOTHING)
        return questions

    def usable_rows(self) -> Iterator[ImageRow]:
        """The rows of which a sentence is exported; the others are counted with their reasons."""
        for row in self._source.rows():
            if self._with_questions and not has_questions(row["questions"]):
                self._tally.write_row(row, **dict.fromkeys(UNITS, NO_QUESTION))
            elif not any(is_bilingual(captions) for captions in by_sentence(row["captions"]).values()):
                self._tally.write_row(row, **dict.fromkeys(UNITS, ONE_LANGUAGE))
            else:
                yield row

    def add(self, row: ImageRow, image: NDArray[np.int16]) -> Iterator[DatasetRow]:
        """Write the files of a row, and yield its rows of dataset.parquet: one a sentence."""
        first = ""
        modality = row["modality"].lower()
        boxes = [
            [structure["x_min"], structure["y_min"], structure["x_max"], structure["y_max"], structure["class_id"]]
            for structure in row["structures"]
        ]
        for sentence, captions in by_sentence(row["captions"]).items():
            if not is_bilingual(captions):
                self._tally.leave_out("sentences", ONE_LANGUAGE, len(captions))
                self._tally.leave_out("phrases", ONE_LANGUAGE, sum(len(caption["entities"]) for caption in captions))
                continue
            rsopid = self._names.name(row["image_id"])
            if first:
                link_image(self._out, rsopid, first)
            else:
                first = rsopid
                write_image(self._out, rsopid, row, image)
                self._sampled[modality][rsopid] = self._sampled_entry(rsopid, row, boxes)
            self._segments[modality][rsopid] = self._segments_entry(rsopid, captions, boxes)
            self._snippets[row["split"], modality][sentence].append(rsopid)
            self._tally.written["sentences"] += len(captions)
            yield dataset_row(rsopid, row, captions)
        if not self._with_questions:
            self._tally.notes[REPORTS_ONLY] += 1
        self._tally.written.update({"images": 1, "boxes": len(row["structures"]), "questions": len(row["questions"])})

    def _sampled_entry(self, rsopid: str, row: ImageRow, boxes: list[list[int]]) -> _Sampled:
        return {
            "rsopid": rsopid,
            "modality": row["modality"],
            "scan_slice_path": str(path_of(self._source.folder, ARRAY, rsopid)),
            "segment_slice_path": str(path_of(self._source.folder, LABELS, rsopid)),
            "bboxes": boxes,
        }

    def _segments_entry(self, rsopid: str, captions: Sequence[CaptionStruct], boxes: list[list[int]]) -> _Segments:
        keywords: dict[str, list[Keyword]] = {}
        for caption in captions:
            texts = keywords_of(caption, self._source.class_names, self._tally)
            self._tally.notes[SHIFTED] += not masks_are_in_order(texts, caption["text"])
            keywords[caption["language"]] = texts
        self._tally.notes[UNBOXED] += sum(map(bool, keywords.values())) == 1
        return {
            "bboxes": boxes,
            "segment_slice_path": str(path_of(self._source.folder, LABELS, rsopid)),
            "keywords_eng": keywords["en"],
            "keywords_de": keywords["de"],
        }

    def write(self) -> None:
        """Write the JSON files, all that the loaders open, and the environment variables that lead them here."""
        for modality, segments in self._segments.items():
            write_json(self._out / f"rsopid_2_segment_v3_{modality}.json", segments)
            write_json(self._out / f"refrad2d_sampled_dataset_v3_{modality}.json", self._sampled[modality])
        for (split, modality), snippets in self._snippets.items():
            name = f"snippet2rsopids_{SPLIT_NAMES[split]}_{modality}_only.json"
            write_json(self._out / f"filtered_{modality}_splits" / name, self._unlike_ct(split, modality, snippets))
        self._write_label_map()
        lines = [f"export {name}={shlex.quote(str(self._source.folder / path))}" for name, path in VARIABLES.items()]
        write_bytes(self._out / "environment.sh", ("\n".join(lines) + "\n").encode())

    def _unlike_ct(self, split: str, modality: str, snippets: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """The snippets of a modality under keys that those of CT do not have: the loaders merge the two, one key one value."""
        ct = self._snippets[split, "ct"] if modality != "ct" else {}
        return {f"{key}-{modality}" if key in ct else key: ids for key, ids in snippets.items()}

    def _write_label_map(self) -> None:
        names = self._source.class_names
        folder = self._out / "label_map"
        write_json(folder / "merged_label_map.json", {name: class_id for class_id, name in names.items()})
        for language, word in LANGUAGE_WORDS.items():
            display = self._source.display_names.get(language, {})
            write_json(
                folder / f"class_2_organ_name_{word}.json",
                {name: display.get(class_id, name.replace("_", " ")) for class_id, name in names.items()},
            )
