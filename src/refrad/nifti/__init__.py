"""NIfTI files as deliveries: which file is of which patient, study and series, their headers, and their canonical volumes."""
