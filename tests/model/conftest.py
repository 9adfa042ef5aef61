"""Fixtures for the model."""

import pytest
import yaml
from tests.conftest import ROOT

from refrad.config import AugmentOptions
from refrad.model.processor import tiny_processor

AUGMENT = AugmentOptions(**yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["train"]["augment"])


@pytest.fixture(scope="session")
def processor():
    return tiny_processor(
        ["Locate: Liver, spleen ", "Lokalisiere: Leber, Milz "] * 4, image_size=64, patch=8, words=320
    )
