"""A first pass over the reports: how many find a study, and which of them a later one replaces."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from refrad.sources.reports import Report
from refrad.sources.study_ids import form_of
from refrad.sources.study_lookup import StudyLookup

__all__ = ["ReportSurvey", "survey_reports"]

MOST_FORMS = 1000  # forms of ids that are counted
SHOWN_FORMS = 3
IDS = ("study_uid", "accession_number", "patient_id")


class ReportSurvey:
    """Counts of the reports of a table.

    Attributes:
        total: number of reports.
        without_study: number of those that find no study.
        replaced: lines of the reports of this shard of which a later one has the same id and study.
    """

    def __init__(self) -> None:
        self.total = 0
        self.without_study = 0
        self.replaced: set[int] = set()
        self._forms: dict[str, Counter[str]] = {column: Counter() for column in IDS}

    def add(self, report: Report, study: str | None) -> None:
        """Count a report."""
        self.total += 1
        if study is not None:
            return
        self.without_study += 1
        for column, forms in self._forms.items():
            form = form_of(getattr(report, column))
            if form and (form in forms or len(forms) < MOST_FORMS):
                forms[form] += 1

    def check(self, largest_share: float, name: str, studies: StudyLookup) -> None:
        """Stop if too many reports find no study.

        Raises:
            ValueError: with the forms of the ids in the table and in the headers, never with an id.
        """
        if self.without_study <= largest_share * self.total:
            return
        forms = []
        for column, table in self._forms.items():
            if table:
                headers = Counter(studies.ids.forms(column))
                forms.append(
                    f"{column} is {_most_frequent(table)} in the table and {_most_frequent(headers)} in the headers"
                )
        raise ValueError(
            f"{name}: {self.without_study} of {self.total} reports find no study, more than captions.max_without_study"
            f" ({largest_share:g}); " + ("; ".join(forms) or "their rows hold no ids of a study")
        )


def survey_reports(reports: Iterable[Report], studies: StudyLookup) -> ReportSurvey:
    """Counts of the reports; `studies` learns how the table writes their ids."""
    survey = ReportSurvey()
    own: list[Report] = []
    for report in reports:
        studies.ids.learn(report)
        study = studies.study_of(report)
        survey.add(report, study)
        if study is not None and studies.shard_of[study] == studies.shard and not report.problem:
            own.append(replace(report, text=""))
    # Only now all spellings of the table are known, by which a study may become doubtful.
    matches = [(report.report_id, studies.study_of(report), report.line) for report in own]
    last = {(report_id, study): line for report_id, study, line in matches}
    survey.replaced = {line for report_id, study, line in matches if study and last[report_id, study] != line}
    return survey


def _most_frequent(forms: Counter[str]) -> str:
    names = [form for form, _ in sorted(forms.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_FORMS]]
    return " or ".join(names) if names else "empty"
