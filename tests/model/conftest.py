"""Fixtures for the model."""

import pytest

from refrad.model.processor import tiny_processor


@pytest.fixture(scope="session")
def processor():
    return tiny_processor(
        ["Locate: Liver, spleen ", "Lokalisiere: Leber, Milz "] * 4, image_size=64, patch=8, words=320
    )
