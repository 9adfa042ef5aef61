"""The reports of a delivery: reading them from tables and folders in any form, and finding their studies.

    notes = SourceNotes()
    for report in read_reports(Path("reports.csv"), is_heading, notes):
        study = studies.study_of(report)

`reports`, `source_notes`, `study_lookup` and `report_survey` are imported one by one.
"""
