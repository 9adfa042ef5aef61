"""Reading lexicon.yaml, with and without a schema."""

import pytest

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema


@pytest.fixture(scope="module")
def folder(root):
    return root / "workflow" / "anatomy"


def test_declared_sides_are_those_of_the_schema(folder):
    schema = load_schema(folder / "classes.yaml")
    declared, checked = load_lexicon(folder / "lexicon.yaml"), load_lexicon(folder / "lexicon.yaml", schema)
    assert declared.twins == checked.twins == schema.twins
    assert declared.sides.items() <= checked.sides.items()


def test_class_that_the_schema_lacks_is_refused(folder, tmp_path):
    text = (folder / "lexicon.yaml").read_text(encoding="utf-8")
    number = text[: text.index("classes: [liver]")].count("- classes:") + 1
    broken = tmp_path / "lexicon.yaml"
    broken.write_text(text.replace("classes: [liver]", "classes: [livre]"), encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{broken}: entry {number}: class livre is not in the schema"):
        load_lexicon(broken, load_schema(folder / "classes.yaml"))
