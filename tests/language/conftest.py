import pytest

from refrad.anatomy.lexicon import load_lexicon


@pytest.fixture(scope="session")
def lexicon(root):
    return load_lexicon(root / "workflow" / "anatomy" / "lexicon.yaml")
