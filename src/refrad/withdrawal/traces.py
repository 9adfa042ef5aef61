"""What is left of a patient in the files of a run: names, and contents as they are and unpacked."""

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import polars as pl

from refrad.core.row_removal import column_names, read_columns

__all__ = ["Traces", "is_named"]

SHORTEST = 6  # characters of an identifier that is looked for in any file; shorter ones stand by chance in many
BINARY = {".safetensors", ".pt", ".pth", ".png", ".jpg", ".jpeg"}  # suffixes of files whose bytes are no text
LARGEST = 2**28  # bytes of a file read at once
OVERLAP = 2**16  # bytes that two parts of a larger file share
_HEX = re.compile(rb"[0-9a-f]{16,}")
_WORDS = re.compile(rb"[0-9A-Za-z.]+")
DIGITS = 16  # of a pseudonym


class Traces:
    """Looks for the pseudonyms, original identifiers and sentences of a patient.

    Args:
        pseudonyms: hexadecimal; also names of entries of the stores.
        originals: identifiers as in the headers.
        texts: sentences.
    """

    def __init__(self, pseudonyms: Set[str], originals: Set[str], texts: Set[str]) -> None:
        self._pseudonyms = {name.encode() for name in pseudonyms}
        long = {name for name in originals if len(name) >= SHORTEST}
        self._short = {name for name in originals if 0 < len(name) < SHORTEST}
        self._words = {name.encode() for name in long if _WORDS.fullmatch(name.encode())}
        self._names = _forms(name for name in long if name.encode() not in self._words)
        self._texts = _forms(texts)

    def search(self, folders: Iterable[Path], without: Iterable[Path] = ()) -> Iterator[Path]:
        """The files, below some folders, that hold a trace in name or content.

        Args:
            folders: those that do not exist are left out.
            without: files and folders that are not looked into.
        """
        excluded = [path.resolve() for path in without]
        for folder in folders:
            for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
                if path.is_symlink() or not path.is_file():
                    continue
                if any(path.resolve().is_relative_to(parent) for parent in excluded):
                    continue
                if self.is_in(str(path.relative_to(folder)).encode()) or self._is_in_file(path):
                    yield path

    def is_in(self, content: bytes) -> bool:
        """Whether bytes hold a trace."""
        for run in _HEX.finditer(content):
            digits = run[0]
            if digits in self._pseudonyms:
                return True
            starts = range(len(digits) - DIGITS + 1) if len(digits) != 2 * DIGITS else ()
            if any(digits[start : start + DIGITS] in self._pseudonyms for start in starts):
                return True
        if self._words and any(self._is_word(word[0].strip(b".")) for word in _WORDS.finditer(content)):
            return True
        return any(is_named(name, content) for name in self._names) or any(text in content for text in self._texts)

    def _is_word(self, word: bytes) -> bool:
        """Whether letters, digits and dots are an identifier, or the name of a file that is called so."""
        return word in self._words or word.partition(b".")[0] in self._words

    def _is_in_file(self, path: Path) -> bool:
        if path.suffix == ".parquet":
            return any(map(self._is_in_frame, read_columns(path, _columns_of_text(path))))
        if path.suffix in BINARY or path.name.endswith(".nii.gz"):
            return False
        if path.suffix == ".gz":
            try:
                return self.is_in(gzip.decompress(path.read_bytes()))
            except (OSError, EOFError, zlib.error):
                return False
        return any(map(self.is_in, _parts(path)))

    def _is_in_frame(self, frame: pl.DataFrame) -> bool:
        if self._short:
            for column in frame.select(pl.col(pl.String)):
                if column.is_in(list(self._short)).any() and column.name not in ("reason", "text"):
                    return True
        text = [name for name, kind in frame.schema.items() if "Binary" not in str(kind)]  # JSON has no bytes
        return self.is_in(frame.select(text).write_json().encode())


def is_named(name: bytes, content: bytes) -> bool:
    """Whether bytes hold an identifier as a whole: "train_1" is in "train_1_a" and "train_1.nii", not in "train_10"."""
    start = content.find(name)
    while start >= 0:
        around = content[start - 1 : start] if start else b"", content[start + len(name) : start + len(name) + 1]
        if not any(letter.isalnum() for letter in around):
            return True
        start = content.find(name, start + 1)
    return False


def _forms(texts: Iterable[str]) -> set[bytes]:
    """The texts as they are, and as JSON that is limited to ASCII has them."""
    return {form.encode() for text in texts for form in (text, json.dumps(text)[1:-1])}


def _columns_of_text(path: Path) -> list[str]:
    """The columns of a table, without those of pictures and those that hold numbers alone."""
    return [name for name in column_names(path) if name not in ("image", "image_full", "pixels", "sketch")]


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while content := file.read(LARGEST):
            yield content
            if len(content) < LARGEST:
                return
            file.seek(-OVERLAP, 1)
