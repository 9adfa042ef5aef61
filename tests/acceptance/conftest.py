"""The project's own schema, lexicon and scale, as the labels need them."""

import pytest

from refrad.acceptance.labelled_item import Anatomy
from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.evaluation.metrics.judge import load_scale


@pytest.fixture(scope="session")
def anatomy(root):
    folder = root / "workflow" / "anatomy"
    schema = load_schema(folder / "classes.yaml")
    lexicon = load_lexicon(folder / "lexicon.yaml", schema)
    return Anatomy(schema, lexicon, load_scale(root / "workflow" / "prompts" / "score.yaml"), pairs=2)


@pytest.fixture(scope="session")
def prompts(root):
    return root / "workflow" / "prompts"
