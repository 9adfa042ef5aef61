"""JSON lines, one object a line: those that other programs have written, and our own."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from refrad.core.files import atomic

__all__ = ["count_lines", "read_objects", "write_objects"]

COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # gzip, zip, bzip2, xz, zstd
WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00")  # how a file in UTF-16 or UTF-32 begins; b"\0" after the first character


class _RepeatedKey(ValueError):
    pass


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number, from 1, and the object of each line that is not blank. Byte order marks are left out.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: in one line that names the file, and the line if it is at fault, and repeats none of its content.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path}: not a file that can be read ({error.strerror})") from None
    with file:
        for number, content in enumerate(file, 1):
            if number == 1 and content.startswith(COMPRESSED):
                raise ValueError(f"{path}: a compressed file: unpack it first")
            if number == 1 and (content.startswith(WIDE[:2]) or WIDE[2] in content):
                raise ValueError(f"{path}: the file is in UTF-16 or no text: save it in UTF-8")
            try:
                text = content.decode("utf-8").removeprefix("\ufeff")
            except UnicodeDecodeError:
                raise ValueError(f"{path}, line {number}: not in UTF-8: save the file in UTF-8") from None
            if not (text := text.strip(" \t\r\n")) or text.isspace():
                continue
            try:
                row, end = _DECODER.scan_once(text, 0)  # type: ignore[attr-defined]  # of the module json, undeclared
                row = row if end == len(text) else None
            except _RepeatedKey:
                raise ValueError(f"{path}, line {number}: a key occurs twice in one object") from None
            except (ValueError, RecursionError, StopIteration):
                row = None
            if "\\u" in text and "\\ud" in text.lower() and row is not None:
                try:
                    json.dumps(row, ensure_ascii=False).encode()
                except UnicodeEncodeError:
                    raise ValueError(
                        f"{path}, line {number}: half a character (\\ud800 to \\udfff) in a text"
                    ) from None
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: not one JSON object; each line holds one")
            yield number, row


def count_lines(path: Path) -> int | None:
    """The number of lines of a file, for progress; None for what is no file, such as a pipe, that can be read once."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(2**20), b"")) + 1


def write_objects(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one object a line, atomically."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise _RepeatedKey
    return row


_DECODER = json.JSONDecoder(object_pairs_hook=_without_repetition)
