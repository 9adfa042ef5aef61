"""Excel workbooks (.xlsx, .xls, .ods): the cells of their sheets as text."""

from pathlib import Path

from python_calamine import CalamineError, CalamineWorkbook

__all__ = ["read_workbook"]


def read_workbook(path: Path) -> dict[str, list[list[str]]]:
    """The rows of each sheet, by its name, in the order of the workbook; empty cells and errors are "".

    Numbers are written without the decimals of whole ones, and dates as YYYY-MM-DD.

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if the file is no workbook, or is encrypted or damaged; names the file.
    """
    with path.open("rb") as file:
        try:
            workbook = CalamineWorkbook.from_filelike(file)
            return {
                name: [
                    [_text(cell) for cell in row]
                    for row in workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)
                ]
                for name in workbook.sheet_names
            }
        except CalamineError:
            raise ValueError(f"{path.name}: is no Excel workbook that can be read: download it again") from None


def _text(cell: object) -> str:
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
    return text.replace("\r\n", "\n")
