"""From DICOM files to geometry-checked volumes.

    headers = headers_of_file(folder, path)  # refrad.dicom.scan
    images = divide_into_volumes(headers)  # refrad.dicom.series
    volume, affine = read_volume(store / file)  # refrad.dicom.volume_store

Headers: scan, headers, elements, header_spool. Volumes: series, geometry, pixels, convert, volume_store, slices. Reason codes of
quarantined items: reasons. Windows of images: windows. Letters at their edges: side_marks. Slices as radiologists hang
them: hanging. The package imports none of them by itself, since many need pydicom.
"""

__all__: list[str] = []
