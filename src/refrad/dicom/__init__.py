"""From DICOM files to geometry-checked volumes."""
