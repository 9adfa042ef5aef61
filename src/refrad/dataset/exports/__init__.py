"""The dataset in the formats of other tools: one module a format, one line a format in `EXPORTERS`.

    source = ExportSource(files, splits, class_names, volume_files)
    EXPORTERS["coco"](source, Path("results/export/coco"))

To add a format, write a module with a function `export(source, out)` and add it to `EXPORTERS`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from refrad.dataset.shard_io import read_rows
from refrad.dataset.shard_rows import ImageRow

__all__ = ["EXPORTERS", "ExportSource", "Exporter"]


@dataclass(frozen=True)
class ExportSource:
    """The dataset to export.

    Attributes:
        files: the shards.
        splits: the splits that have images, in the order of `refrad.core.types.SPLITS`.
        class_names: class id to name.
        volume_files: volume to its NIfTI file, for formats with the pixel values of the scanner; may be empty.
    """

    files: Sequence[Path]
    splits: Sequence[str]
    class_names: Mapping[int, str]
    volume_files: Mapping[str, Path] = field(default_factory=dict)

    def rows(self, split: str | None = None) -> Iterator[ImageRow]:
        """The rows of one split, or of all, in the order of the files; one row group in memory at a time."""
        return (row for row in read_rows(self.files) if split is None or row["split"] == split)


Exporter = Callable[[ExportSource, Path], None]
"""Writes the dataset into a folder."""


def _exporter_of(module: str) -> Exporter:
    """The function `export` of a module of this package, imported when it is called."""

    def export(source: ExportSource, out: Path) -> None:
        import_module(f"{__name__}.{module}").export(source, out)

    return export


EXPORTERS: dict[str, Exporter] = {
    "hf": _exporter_of("hf"),
    "coco": _exporter_of("coco"),
    "llava": _exporter_of("llava"),
    "webdataset": _exporter_of("webdataset"),
    "authors": _exporter_of("authors"),
}
