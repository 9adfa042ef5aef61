"""Turn report sentences into captions: de-identified, without comparisons, tied to the images that they name."""

import logging
from collections.abc import Iterator
from pathlib import Path

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.config import CaptionsOptions
from refrad.core.contracts import CaptionTable, InstanceTable, ReferenceTable
from refrad.core.tables import frame_of, scan_table, write_table
from refrad.language.captions import CaptionBuilder, collect_ties
from refrad.language.sections import is_heading
from refrad.llm import open_models
from refrad.privacy.pseudonyms import FileTable, Pseudonyms, read_or_create_key
from refrad.privacy.storage_errors import StorageErrors
from refrad.privacy.withdrawals import withdrawals_of
from refrad.sources.report_survey import survey_reports
from refrad.sources.reports import Report, read_reports, read_rows
from refrad.sources.source_notes import SourceNotes
from refrad.sources.study_lookup import StudyLookup
from refrad.sources.withdrawn_reports import WITHDRAWN, mark_withdrawn
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["VERSION", "run"]

log = logging.getLogger(__name__)

VERSION = 3


def run(
    *,
    reports: Path,
    instances: Path,
    files: Path,
    lexicon: Path,
    schema: Path,
    key: Path,
    shard: int,
    captions: Path,
    image_references: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    references: Path | None = None,
    llm: str | None = None,
) -> None:
    """Write the captions of one shard and the images that they name.

    Raises:
        ValueError: if the reports or the references lack a column, too many reports find no study, the storage
            fails for more of them than the config allows, the lexicon names a class that the schema lacks, or a
            model cannot be reached.
    """
    options = CaptionsOptions.model_validate(fingerprint.options)
    tally = Tally("sentences")
    studies = StudyLookup(scan_table(files, FileTable), scan_table(instances, InstanceTable), shard)
    ties = collect_ties(read_rows(references), studies, references.name) if references else {}
    pseudonyms = Pseudonyms(read_or_create_key(key))
    words = load_lexicon(lexicon, load_schema(schema))
    builder = CaptionBuilder(studies, pseudonyms, ties, words, options, tally)
    storage_errors = StorageErrors(files.parent / f"storage_errors_captions_{shard}.txt", options.storage_errors)
    notes = SourceNotes(storage_errors.add)
    withdrawals = withdrawals_of(files, pseudonyms)

    def delivered() -> Iterator[Report]:  # the same notes each time: each file is named once
        return mark_withdrawn(read_reports(reports, is_heading, notes), withdrawals, studies.ids)

    survey = survey_reports((report for report in delivered() if report.problem != WITHDRAWN), studies)
    for warning in notes.warnings(reports.name):
        log.warning("captions: %s", warning)
    log.info("captions: %s: %d reports, %d without a study", reports.name, survey.total, survey.without_study)
    survey.check(options.max_without_study, reports.name, studies)
    for report in delivered():
        builder.add_report(report, report.line in survey.replaced)
    if storage_errors.count:
        log.warning("captions: the storage failed for %s", storage_errors)
    with open_models(llm) as models:
        builder.apply_models(models)
    builder.count()
    log.info("captions: %d sentences, %d captions", tally.taken, len(builder.captions))
    write_table(captions, frame_of(builder.captions, CaptionTable), CaptionTable, fingerprint)
    write_table(image_references, frame_of(builder.references, ReferenceTable), ReferenceTable, fingerprint)
    tally.write(metrics, fingerprint)
