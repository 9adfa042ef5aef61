"""The dataset in the formats of other tools: one module a format, one entry a format in `EXPORTERS`.

    source = ExportSource(files, splits, class_names)
    EXPORTERS["coco"].write(source, Path("results/export/coco"))

To add a format, write a module with a function `export(source, out)`, which counts what it writes in `source.tally`, and add it
to `EXPORTERS` with a sentence and a line that opens it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from refrad.dataset.exports.source import ExportSource

__all__ = ["EXPORTERS", "ExportFormat", "ExportSource", "Exporter", "list_formats"]

Exporter = Callable[[ExportSource, Path], None]
"""Writes the dataset into a folder."""


@dataclass(frozen=True)
class ExportFormat:
    """A format that the dataset can be written in.

    Attributes:
        sentence: what it is, for the usage and the documentation.
        opened_by: the programs that read it.
        opening: the line that opens it, in Python or a shell; FOLDER is the folder of the export.
        write: writes it.
        needs_volumes: whether it has the values of the scanner, which `ExportSource.volume_files` leads to.
        needs_names: whether it calls structures by the names that people use, `ExportSource.display_names`.
    """

    sentence: str
    opened_by: str
    opening: str
    write: Exporter
    needs_volumes: bool = False
    needs_names: bool = False


def _exporter(module: str, function: str = "export") -> Exporter:
    """The function of a module of this package, imported when it is called."""

    def export(source: ExportSource, out: Path) -> None:
        getattr(import_module(f"{__name__}.{module}"), function)(source, out)

    return export


EXPORTERS: dict[str, ExportFormat] = {
    "hf": ExportFormat(
        "the columns of the shards, one set of Parquet files a split, and the card",
        "datasets, pandas, polars, DuckDB",
        'datasets.load_dataset("FOLDER")',
        _exporter("hf"),
    ),
    "coco": ExportFormat(
        "instances with boxes and masks, captions with phrases; pictures with the width and height of the slice",
        "pycocotools, detectors",
        'COCO("FOLDER/annotations/instances_train.json")',
        _exporter("coco"),
    ),
    "fiftyone": ExportFormat(
        "boxes with masks, phrases, sentences and questions, tagged by split; pictures with the width and height of the slice",
        "FiftyOne",
        'fiftyone.Dataset.from_dir("FOLDER", dataset_type=fiftyone.types.FiftyOneDataset)',
        _exporter("fiftyone"),
    ),
    "webdataset": ExportFormat(
        "tar files of 1,000 pictures and their rows as JSON",
        "webdataset",
        'webdataset.WebDataset("FOLDER/train-000000.tar").decode("pil")',
        _exporter("webdataset"),
    ),
    "llava": ExportFormat(
        "conversations with boxes as shares, three decimals",
        "LLaVA-1.5 and trainers in its style",
        "--data_path FOLDER/train.json --image_folder FOLDER",
        _exporter("llava"),
        needs_names=True,
    ),
    "qwen2.5-vl": ExportFormat(
        "conversations with boxes as JSON in pixels; sides of the pictures are multiples of 28 px",
        "qwen-vl-finetune",
        'data_dict["refrad"] = {"annotation_path": "FOLDER/train.json", "data_path": "FOLDER"}',
        _exporter("llava", "export_qwen2_5"),
        needs_names=True,
    ),
    "qwen3-vl": ExportFormat(
        "conversations with boxes as JSON in thousandths",
        "qwen-vl-finetune",
        'data_dict["refrad"] = {"annotation_path": "FOLDER/train.json", "data_path": "FOLDER"}',
        _exporter("llava", "export_qwen3"),
        needs_names=True,
    ),
    "internvl": ExportFormat(
        "conversations with <ref> and <box> in thousandths, and meta files",
        "InternVL",
        "--meta_path FOLDER/meta_train.json",
        _exporter("internvl"),
        needs_names=True,
    ),
    "llamafactory": ExportFormat(
        "sharegpt conversations with dataset_info.json, each split for Qwen2.5-VL and for Qwen3-VL",
        "LLaMA-Factory",
        "--dataset_dir FOLDER --dataset refrad_train_qwen3_vl",
        _exporter("llamafactory"),
        needs_names=True,
    ),
    "swift": ExportFormat(
        "messages, images and objects, of which ms-swift makes the boxes of each model",
        "ms-swift",
        "swift sft --dataset FOLDER/train.jsonl",
        _exporter("swift"),
        needs_names=True,
    ),
    "authors": ExportFormat(
        "the layout of the paper's released code: DICOM in zstd, labels and tables; sentences in both languages only",
        "radgrounder",
        "source FOLDER/environment.sh",
        _exporter("authors"),
        needs_volumes=True,
        needs_names=True,
    ),
}


def list_formats(formats: Mapping[str, ExportFormat] = EXPORTERS) -> str:
    """The formats with their sentences, one a line."""
    return "\n".join(f"{name}: {entry.sentence}." for name, entry in formats.items())
