"""Excel workbooks (.xlsx, ECMA-376 part 1): the cells of their sheets as text."""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast
from xml.etree import ElementTree as Xml

__all__ = ["read_workbook"]

PACKAGE = "xl"
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")  # a character that XML cannot hold, such as _x000D_
_LETTERS = re.compile(r"[A-Z]+")


def read_workbook(path: Path) -> dict[str, list[list[str]]]:
    """The rows of each sheet, by its name, in the order of the workbook; rows end at their last cell, empty cells are "".

    Numbers are as the file holds them, dates therefore days since 1900; formulas are their last result; errors are "".

    Raises:
        ValueError: if the file is no workbook, or is encrypted or damaged; names the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            shared = _shared_texts(archive)
            return {name: list(_rows(archive, part, shared)) for name, part in _sheets(archive)}
    except (zipfile.BadZipFile, KeyError, Xml.ParseError, RuntimeError, NotImplementedError, EOFError):
        raise ValueError(f"{path.name}: is no Excel workbook (.xlsx) that can be read: download it again") from None


def _local(tag: str) -> str:
    """The name of an element without its namespace, of which there are two."""
    return tag.rpartition("}")[2]


def _elements(archive: zipfile.ZipFile, part: str, name: str) -> Iterator[Xml.Element]:
    """The elements of a name in a part, each whole; what is read is freed."""
    with archive.open(part) as file:
        events = Xml.iterparse(cast("BinaryIO", file), events=("start", "end"))
        _, root = next(events)
        for event, element in events:
            if event == "end" and _local(element.tag) == name:
                yield element
                root.clear()
                element.clear()


def _shared_texts(archive: zipfile.ZipFile) -> list[str]:
    part = f"{PACKAGE}/sharedStrings.xml"
    if part not in archive.namelist():
        return []
    return [_text(element) for element in _elements(archive, part, "si")]


def _text(element: Xml.Element) -> str:
    """The text of a string, of its runs one behind the other, without how it is pronounced."""
    parts = []
    for child in element:
        if _local(child.tag) == "t":
            parts.append(child.text or "")
        elif _local(child.tag) == "r":
            parts += [run.text or "" for run in child if _local(run.tag) == "t"]
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), "".join(parts)).replace("\r\n", "\n")


def _sheets(archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Name and part of each sheet."""
    targets = {}
    for element in Xml.fromstring(archive.read(f"{PACKAGE}/_rels/workbook.xml.rels")):
        target = element.get("Target", "")
        targets[element.get("Id", "")] = target.lstrip("/") if target[:1] == "/" else posixpath.join(PACKAGE, target)
    for element in Xml.fromstring(archive.read(f"{PACKAGE}/workbook.xml")).iter():
        if _local(element.tag) == "sheet":
            relation = next((value for key, value in element.items() if _local(key) == "id"), "")
            yield element.get("name", ""), posixpath.normpath(targets[relation])


def _rows(archive: zipfile.ZipFile, part: str, shared: list[str]) -> Iterator[list[str]]:
    for element in _elements(archive, part, "row"):
        row: list[str] = []
        for cell in element:
            if _local(cell.tag) != "c":
                continue
            letters = _LETTERS.match(cell.get("r", ""))
            row += [""] * ((_column(letters[0]) if letters else len(row)) - len(row))
            row.append(_value(cell, shared))
        yield row


def _column(letters: str) -> int:
    """The number of a column, from 0: A is 0, Z is 25, AA is 26."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _value(cell: Xml.Element, shared: list[str]) -> str:
    kind = cell.get("t", "n")
    parts = {_local(child.tag): child for child in cell}
    if kind == "inlineStr":
        return _text(parts["is"]) if "is" in parts else ""
    value = (parts["v"].text or "") if "v" in parts else ""
    if kind == "s":
        return shared[int(value)] if value.isdigit() and int(value) < len(shared) else ""
    return "" if kind == "e" else value
