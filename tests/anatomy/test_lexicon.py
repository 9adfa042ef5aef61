"""Reading lexicon.yaml, with and without a schema."""

import pytest
import yaml

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema


@pytest.fixture(scope="module")
def folder(root):
    return root / "workflow" / "anatomy"


@pytest.fixture
def content(folder):
    """The sections of the lexicon with its first entries."""
    text = (folder / "lexicon.yaml").read_text(encoding="utf-8")
    sections = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return sections | {"entries": sections["entries"][:3]}


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


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (["institutions"], "lacks institutions: copy it"),
        (["entries"], "lacks entries: copy it"),
        (["endings", "de"], "endings: lacks de: copy it"),
        (["sides", "en", "both"], "sides: en: lacks both: copy it"),
        (["assertions", "de"], "assertions: lacks de: copy it"),
        *(
            (["assertions", language, name], f"assertions: {language}: lacks {name}: copy it")
            for language in ("de", "en")
            for name in ("lobe_removal", "part_removal", "attribute")
        ),
    ],
)
@pytest.mark.parametrize("is_empty", [False, True])
def test_section_that_a_lexicon_lacks_is_named(content, tmp_path, keys, says, is_empty):
    section = content
    for key in keys[:-1]:
        section = section[key]
    if is_empty:
        section[keys[-1]] = None
    else:
        del section[keys[-1]]
    path = tmp_path / "lexicon.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{path}: {says} from the lexicon.yaml of this version$"):
        load_lexicon(path)


def test_section_that_no_lexicon_has_is_named(content, tmp_path):
    path = tmp_path / "lexicon.yaml"
    path.write_text(yaml.safe_dump(content | {"organs": []}), encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{path}: unknown organs; the names are endings, "):
        load_lexicon(path)
