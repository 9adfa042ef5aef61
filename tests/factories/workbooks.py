"""Excel workbooks as files of their parts."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

__all__ = ["write_workbook"]

NAMESPACES = {
    False: (
        "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    ),
    True: ("http://purl.oclc.org/ooxml/spreadsheetml/main", "http://purl.oclc.org/ooxml/officeDocument/relationships"),
}
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def _letters(column: int) -> str:
    text = ""
    while column >= 0:
        text = chr(ord("A") + column % 26) + text
        column = column // 26 - 1
    return text


def write_workbook(
    path: Path,
    sheets: Mapping[str, Sequence[Sequence[str]]],
    shared: bool = True,
    strict: bool = False,
    strings: str = "",
    cells: str = "",
) -> None:
    """Write sheets of text; empty cells are not in the file.

    Args:
        path: of the .xlsx file.
        sheets: rows by name of the sheet.
        shared: whether texts are in the table of strings, else in their cells.
        strict: whether the namespaces are those of strict workbooks.
        strings: XML of the table of strings, instead of the texts.
        cells: XML of the cells of each row, instead of the texts.
    """
    main, relationships = NAMESPACES[strict]
    texts: list[str] = []
    parts: dict[str, str] = {}
    for number, rows in enumerate(sheets.values(), 1):
        lines = []
        for place, row in enumerate(rows, 1):
            line = ""
            for column, text in enumerate(row):
                if text and shared:
                    line += f'<c r="{_letters(column)}{place}" t="s"><v>{len(texts)}</v></c>'
                    texts.append(text)
                elif text:
                    inside = f'<is><t xml:space="preserve">{escape(text)}</t></is>'
                    line += f'<c r="{_letters(column)}{place}" t="inlineStr">{inside}</c>'
            lines.append(f'<row r="{place}">{cells or line}</row>')
        sheet = f'<worksheet xmlns="{main}"><sheetData>{"".join(lines)}</sheetData></worksheet>'
        parts[f"xl/worksheets/sheet{number}.xml"] = sheet
    if shared:
        table = strings or "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in texts)
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{main}">{table}</sst>'
    names = "".join(
        f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"/>' for number, name in enumerate(sheets, 1)
    )
    parts["xl/workbook.xml"] = f'<workbook xmlns="{main}" xmlns:r="{relationships}"><sheets>{names}</sheets></workbook>'
    links = "".join(
        f'<Relationship Id="rId{number}" Type="{relationships}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, len(sheets) + 1)
    )
    parts["xl/_rels/workbook.xml.rels"] = f'<Relationships xmlns="{RELATIONS}">{links}</Relationships>'
    top = f'<Relationship Id="rId1" Type="{relationships}/officeDocument" Target="xl/workbook.xml"/>'
    parts["_rels/.rels"] = f'<Relationships xmlns="{RELATIONS}">{top}</Relationships>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>\n{content}')
