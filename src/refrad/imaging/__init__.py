"""From DICOM headers to volumes, slices, windows, label volumes and structures."""
