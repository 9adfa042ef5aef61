"""Tables of public sets: CSV files read leniently, the words in their cells, and what becomes of each volume or report."""

import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from refrad.formats.charsets import charset_of, errors_of
from refrad.nifti.volume_entry import VolumeEntry
from refrad.sources.reports import read_rows

__all__ = [
    "age_of",
    "chained_counts",
    "date_of",
    "is_repeated",
    "joined_sections",
    "name_columns",
    "official_split",
    "read_cells",
    "read_lines",
    "read_table",
    "report_table",
    "sex_of",
    "sort_out",
    "volume_entries",
]

DELIMITERS = ",;\t|"
SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


def read_table(path: Path, columns: Mapping[str, Sequence[str]], optional: Collection[str] = ()) -> pl.DataFrame:
    """Columns of a CSV table as text without outer blanks, "" where a cell is empty; rows without any cell are dropped.

    Args:
        path: of the table.
        columns: column of the result to its spellings in tables. Case, blanks and punctuation do not matter; the first spelling
            that the table has counts.
        optional: columns of the result that are "" throughout where the table has none of their spellings.

    Raises:
        ValueError: if the table is empty, a column is missing, or a row cannot be read; names file and line, never a cell.
    """
    return name_columns(read_cells(path), path.name, columns, optional)


def read_cells(path: Path) -> pl.DataFrame:
    """All cells of a CSV table as text without outer blanks, under its own names of columns; see `read_table`.

    Any of the usual delimiters and character sets. A table with wrong quotes is read once more, row by row, by the rules of tables of
    reports.

    Raises:
        ValueError: if the table is empty or a row cannot be read; names file and line, never a cell.
    """
    charset = charset_of(path)
    text = path.read_text(encoding=charset, errors=errors_of(charset))
    first, _, rest = text.lstrip().partition("\n")
    if not first:
        raise ValueError(f"{path.name}: line 1: the table is empty, a header is needed")
    delimiter = max(DELIMITERS, key=first.count)
    if first.lower().startswith("sep=") and len(first.rstrip("\r")) == 5:
        delimiter, text = first[4], rest
    try:
        content = io.BytesIO(text.encode("utf-8", errors="replace"))
        table = pl.read_csv(content, separator=delimiter, infer_schema=False)
    except pl.exceptions.PolarsError:  # its message would quote a cell
        rows = list(read_rows(path))
        names = list(rows[0]) if rows else []
        table = pl.DataFrame(
            {name: [row.get(name, "") for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String)
        )
    return table.select(pl.all().fill_null("").str.strip_chars()).filter(pl.any_horizontal(pl.all() != ""))


def read_lines(path: Path) -> list[str]:
    """The lines of a text file of any charset."""
    charset = charset_of(path)
    return path.read_text(encoding=charset, errors=errors_of(charset)).splitlines()


def name_columns(
    table: pl.DataFrame, name: str, columns: Mapping[str, Sequence[str]], optional: Collection[str] = ()
) -> pl.DataFrame:
    """The columns of a table of text under the names of RefRad, as `read_table` returns them.

    Args:
        table: cells as `read_cells` returns them.
        name: of its file, for messages.
        columns: as for `read_table`.
        optional: as for `read_table`.

    Raises:
        ValueError: if a column is missing.
    """
    delivered = {_bare(column): column for column in reversed(table.columns)}
    selected = []
    for column, spellings in columns.items():
        spelling = next((delivered[_bare(text)] for text in spellings if _bare(text) in delivered), None)
        if spelling is None and column not in optional:
            needed = ", ".join(texts[0] for key, texts in columns.items() if key not in optional)
            raise ValueError(f'{name}: line 1: has no column "{spellings[0]}"; columns are {needed}')
        selected.append((pl.lit("") if spelling is None else pl.col(spelling)).alias(column))
    return table.select(selected)


def _bare(name: str) -> str:
    """The letters and digits of a column's name, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def official_split(cells: pl.Expr) -> pl.Expr:
    """train, validation or test for the words that sets use for their splits, else ""."""
    words = {word: split for split, spellings in SPLITS.items() for word in spellings}
    return cells.str.strip_chars().str.to_lowercase().replace_strict(words, default="", return_dtype=pl.String)


def age_of(cells: pl.Expr) -> pl.Expr:
    """Whole years as DICOM writes them ("063Y") of cells such as "63", "63.4" or "063Y"; else ""."""
    years = cells.str.extract(r"^(\d{1,3})(?:\.\d*)?\s*[Yy]?$").str.zfill(3)
    return pl.when(years.is_null()).then(pl.lit("")).otherwise(pl.concat_str(years, pl.lit("Y")))


def date_of(cells: pl.Expr) -> pl.Expr:
    """YYYYMMDD of cells that begin with a date such as "2012-01-31" or "20120131"; else ""."""
    return cells.str.extract(r"^(\d{4}-?\d{2}-?\d{2})(?:\D|$)").str.replace_all("-", "").fill_null("")


def sex_of(cells: pl.Expr) -> pl.Expr:
    """M, F or "" of cells such as "m", "Female"."""
    words = {"m": "M", "male": "M", "f": "F", "female": "F"}
    return cells.str.to_lowercase().replace_strict(words, default="", return_dtype=pl.String)


def joined_sections(headings: Mapping[str, str]) -> pl.Expr:
    """A report of the sections in several columns, each behind its heading on a line; empty sections are left out.

    Args:
        headings: column to heading, in the order of the report.
    """
    sections = [
        pl.when(pl.col(column) == "").then(None).otherwise(pl.concat_str(pl.lit(f"{heading}:\n"), pl.col(column)))
        for column, heading in headings.items()
    ]
    return pl.concat_str(sections, separator="\n", ignore_nulls=True)


def report_table(
    reports: pl.DataFrame, study: str, report_id: str | pl.Expr | None = None, text: str | pl.Expr = "text"
) -> pl.DataFrame:
    """The reports, which are English, as `refrad.public_sets.base.SetTables` has them.

    Args:
        reports: a row for each report.
        study: column of the key of the study.
        report_id: of the report; None: the key of the study.
        text: of the report.
    """
    name = study if report_id is None else report_id
    return reports.select(report_id=name, study_uid=study, language=pl.lit("en"), text=text)


def is_repeated(study: str) -> pl.Expr:
    """Whether an earlier report of the study has a text too, by its column and the column text; an earlier one without text is none."""
    return ~pl.struct(study, pl.col("text") == "").is_first_distinct()


def sort_out(frame: pl.DataFrame, reasons: Mapping[str, pl.Expr]) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows that are used, and how many were delivered, are used, and are left out for each reason.

    Args:
        frame: a row for each delivered item.
        reasons: reason to the condition of being left out; of several that hold the first one counts.
    """
    reason = pl.lit("used")
    for name, condition in reversed([*reasons.items()]):
        reason = pl.when(condition.fill_null(False)).then(pl.lit(name)).otherwise(reason)
    sorted_rows = frame.with_columns(reason.alias("reason"))
    amounts = dict(sorted_rows.group_by("reason").len().iter_rows())
    counts = {"delivered": frame.height, "used": amounts.pop("used", 0)}
    counts |= {name: amounts[name] for name in reasons if name in amounts}
    return sorted_rows.filter(pl.col("reason") == "used").drop("reason"), counts


def chained_counts(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """The counts of `sort_out` for rows that were sorted out step by step, each time those that were still used."""
    reasons = {
        reason: number for step in counts for reason, number in step.items() if reason not in ("delivered", "used")
    }
    return {"delivered": counts[0]["delivered"], "used": counts[-1]["used"]} | reasons


def volume_entries(frame: pl.DataFrame) -> list[VolumeEntry]:
    """An entry for each row; columns are named as its fields, further columns are ignored."""
    columns = [name for name in VolumeEntry._fields if name in frame.columns]
    return [VolumeEntry(**row) for row in frame.select(columns).iter_rows(named=True)]
