"""Fixtures for all tests."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from tests.factories import ROOT, SIDE, Study, image_row

from refrad.anatomy.schema import load_schema
from refrad.dataset.shard_io import write_shard
from refrad.dicom.windows import MEDGEMMA_WINDOWS
from refrad.workflow.fingerprint import Fingerprint

# No test is about time: a busy machine is no failure.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that of several processes none is left alone with them in the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are named by their number: packed ones hold the time, and all processes must find tests of the same names."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Of several processes (`make test`) each takes whole files, and one takes all end-to-end tests, which share a run."""
    from xdist.scheduler import LoadFileScheduling

    class ByRun(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/end_to_end" if nodeid.startswith("tests/end_to_end/") else nodeid.split("::")[0]

    config.option.loadscopereorder = False  # files stay in their order, slow ones first
    return ByRun(config, log)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the project."""
    return ROOT


@pytest.fixture(scope="session")
def lexicon(root):
    """The lexicon of the project."""
    from refrad.anatomy.lexicon import load_lexicon

    return load_lexicon(root / "workflow" / "anatomy" / "lexicon.yaml")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real CT, MR, reports and masks next to the checkout; without it the test is skipped."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared/data with real CT/MR samples, which is not part of the project")
    return folder


@pytest.fixture
def study(tmp_path) -> Study:
    """A made-up CT study with its tables and stores."""
    return Study(tmp_path)


@pytest.fixture(scope="session")
def schema(root):
    return load_schema(root / "workflow" / "anatomy" / "classes.yaml")


@pytest.fixture(scope="session")
def images(tmp_path_factory, schema):
    """images.parquet with 24 training, 4 validation and 6 test images."""
    path = tmp_path_factory.mktemp("images") / "images.parquet"
    rng = np.random.default_rng(0)
    splits = ["train"] * 24 + ["validation"] * 4 + ["test"] * 6
    write_shard(
        path,
        [image_row(number, split, rng) for number, split in enumerate(splits)],
        schema,
        Fingerprint("shards", 1, {"windows": MEDGEMMA_WINDOWS, "image_size": SIDE}, {}),
    )
    return path


@pytest.fixture(scope="session")
def processor():
    """A PaliGemma processor for images of 64 px with a vocabulary of a few words."""
    from refrad.model.processor import tiny_processor

    return tiny_processor(
        ["Locate: Liver, spleen ", "Lokalisiere: Leber, Milz "] * 4, image_size=64, patch=8, words=320
    )
