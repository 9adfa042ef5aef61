"""Fixtures for the stages."""

import pytest
from tests.factories import write_dicom
from tests.factories.dicom import WriteSlice


@pytest.fixture(scope="session")
def write_slice() -> WriteSlice:
    """The function that writes one DICOM file."""
    return write_dicom
