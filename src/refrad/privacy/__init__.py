"""De-identification: keyed pseudonyms, report text without identifiers, and a de-identified DICOM profile.

    pseudonyms = Pseudonyms(read_or_create_key(Path("private/key")))
    patient = pseudonyms.patient(dataset.PatientID)
    text, counts = scrub(report, collect_identifiers(rows_of_files), is_anatomy)

`pseudonyms`, `scrubbing`, `header_fields` and `dicom_profile` are imported one by one: the last needs a DICOM library.
"""
