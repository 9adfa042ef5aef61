"""The reports of CT-RATE: a row for each volume, repeated for the volumes of a scan."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from refrad.public_sets.table_reading import chained_counts, joined_sections, read_table, report_table, sort_out
from refrad.public_sets.volume_files import without_ending_of

__all__ = ["ReportRows", "read_report_rows"]

HEADINGS = {
    "ClinicalInformation_EN": "Clinical information",
    "Technique_EN": "Technique",
    "Findings_EN": "Findings",
    "Impressions_EN": "Impression",
}
PLACEHOLDER = r"(?i)^not given\.?$"


class ReportRows(NamedTuple):
    """The reports of the scans, from the rows of the tables.

    Attributes:
        reports: columns scan and text, a row for each scan whose report says something.
        counts: of the rows, as `sort_out` counts.
        differing: number of scans whose rows do not say the same.
    """

    reports: pl.DataFrame
    counts: Mapping[str, int]
    differing: int

    def of_scans(self, delivered: pl.Series, used: pl.Series) -> "ReportRows":
        """The reports of the scans that are used; the others are counted, by whether their scans were delivered."""
        reports, counts = sort_out(
            self.reports,
            {
                "no file of its scan": ~pl.col("scan").is_in(delivered.implode()),
                "no volume of its scan is used": ~pl.col("scan").is_in(used.implode()),
            },
        )
        return self._replace(reports=reports, counts=chained_counts([self.counts, counts]))

    def table(self) -> pl.DataFrame:
        """The reports as `refrad.public_sets.base.SetTables` has them."""
        return report_table(self.reports, "scan")


def read_report_rows(paths: Sequence[Path]) -> ReportRows:
    """The reports of tables, with the sections that are given, each under its heading.

    Raises:
        FileNotFoundError: if a table is missing.
        ValueError: if a table lacks a column or cannot be read.
    """
    columns = {name: [name] for name in ("VolumeName", *HEADINGS)}
    rows = pl.concat(read_table(path, columns) for path in paths)
    rows = rows.with_columns(pl.col(*HEADINGS).str.replace(PLACEHOLDER, ""))
    rows = rows.with_columns(
        scan=without_ending_of("VolumeName").str.extract(r"^(.+)_\d+$"), text=joined_sections(HEADINGS)
    )
    differing = rows.group_by("scan").agg(pl.col("text").n_unique()).filter(pl.col("text") > 1).height
    with_text, unusable = sort_out(
        rows,
        {
            "name of no volume": pl.col("scan").is_null(),
            "neither findings nor impression": (pl.col("Findings_EN") == "") & (pl.col("Impressions_EN") == ""),
        },
    )
    reports, repeated = sort_out(with_text, {"repeats the report of its scan": ~pl.col("scan").is_first_distinct()})
    return ReportRows(reports.select("scan", "text"), chained_counts([unusable, repeated]), differing)
