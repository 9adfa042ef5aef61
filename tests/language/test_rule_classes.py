"""Schema and lexicon edited by a site: renamed and merged classes, as docs/schema.md describes it."""

import re
import shutil

import numpy as np
import pytest
import yaml

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.grounding.pairing import GroundableMention, class_matcher, ground_mentions
from refrad.language.mention_finder import find_mentions
from refrad.language.rule_classes import missing_rule_classes, schema_warnings
from refrad.segmentation.plausibility import find_flags, load_norms

FILES = ("classes.yaml", "lexicon.yaml", "plausibility.yaml")


@pytest.fixture
def folder(root, tmp_path):
    for name in FILES:
        shutil.copy(root / "workflow" / "anatomy" / name, tmp_path)
    return tmp_path


def edit(path, change):
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def opened(folder):
    schema = load_schema(folder / "classes.yaml")
    return schema, load_lexicon(folder / "lexicon.yaml", schema)


def named(sentence, language, lexicon):
    return [(mention.text, mention.classes) for mention in find_mentions(sentence, language, lexicon)]


def side_first(name):
    """kidney_left -> left_kidney, kidney_{side} -> {side}_kidney."""
    words = name.split("_")
    side = next((word for word in words if word in ("left", "right", "{side}")), None)
    return "_".join([side, *(word for word in words if word != side)]) if side else name


def put_sides_first(folder):
    content = yaml.safe_load((folder / "classes.yaml").read_text(encoding="utf-8"))
    for entry in content["classes"]:
        entry["name"] = side_first(entry["name"])
        entry["parts"] = [side_first(name) for name in entry.get("parts", [])]
    (folder / "classes.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    content = yaml.safe_load((folder / "lexicon.yaml").read_text(encoding="utf-8"))
    for entry in content["entries"]:
        entry["classes"] = [side_first(name) for name in entry["classes"]]
    (folder / "lexicon.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("Linke Niere unauffällig.", "de", [("Linke Niere", ("left_kidney",))]),
        ("Nieren unauffällig.", "de", [("Nieren", ("left_kidney", "right_kidney"))]),
        ("Right adrenal gland normal.", "en", [("Right adrenal gland", ("right_adrenal_gland",))]),
        ("Sinterung von LWK 4.", "de", [("LWK 4", ("vertebrae_L4",))]),
    ],
)
@pytest.mark.parametrize("with_schema", [True, False])
def test_sides_are_found_whatever_the_class_names(folder, sentence, language, expected, with_schema):
    put_sides_first(folder)
    lexicon = opened(folder)[1] if with_schema else load_lexicon(folder / "lexicon.yaml")
    assert named(sentence, language, lexicon) == expected


def test_schema_sides_hold_for_pairs_listed_by_name(folder):
    put_sides_first(folder)
    content = yaml.safe_load((folder / "lexicon.yaml").read_text(encoding="utf-8"))
    for entry in content["entries"]:
        if entry["classes"] == ["{side}_kidney"]:
            entry["classes"] = ["left_kidney", "right_kidney"]
    (folder / "lexicon.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    _, lexicon = opened(folder)
    assert named("Linke Niere unauffällig.", "de", lexicon) == [("Linke Niere", ("left_kidney",))]


def test_twins_of_the_schema_do_not_depend_on_the_order_of_words(folder):
    before = opened(folder)[0]
    put_sides_first(folder)
    after = opened(folder)[0]
    assert [after.twin(entry.id) for entry in after.classes] == [before.twin(entry.id) for entry in before.classes]


def test_missing_rule_classes_are_reported(folder):
    assert missing_rule_classes(opened(folder)[0]) == {}
    put_sides_first(folder)
    schema, lexicon = opened(folder)
    assert {rule: len(names) for rule, names in missing_rule_classes(schema).items()} == {
        "numbered ribs": 24,
        "cysts near a kidney": 4,
        "lungs without a side": 1,
    }
    assert any("numbered ribs" in warning and "rib_left_1" in warning for warning in schema_warnings(lexicon, schema))


def test_numbered_rib_without_its_class_is_read_by_the_lexicon(folder):
    put_sides_first(folder)
    _, lexicon = opened(folder)
    ((_, classes),) = named("Fraktur der 5. Rippe links.", "de", lexicon)
    assert set(classes) == {f"left_rib_{number}" for number in range(1, 13)}


def test_shipped_files_give_no_warning(folder):
    schema, lexicon = opened(folder)
    assert schema_warnings(lexicon, schema) == []


def test_class_without_words_is_reported(folder):
    line = "  - {id: 122, name: breast, english: breast, german: Brust, region: chest, native: {}}\n"
    edit(folder / "classes.yaml", lambda text: text.rstrip("\n") + "\n" + line)
    schema, lexicon = opened(folder)
    assert schema_warnings(lexicon, schema) == ["no words in the lexicon for breast: no caption can mention them"]


def test_merging_two_classes_works_as_docs_schema_describes(folder):
    # 1. classes.yaml
    edit(
        folder / "classes.yaml",
        lambda text: re.sub(r"  - \{id: 19, name: duodenum,.*\n", "", text).replace(
            "native: {total: [18], total_mr: [13]}", "native: {total: [18, 19], total_mr: [13, 14]}"
        ),
    )
    with pytest.raises(ValueError, match=r"lexicon.yaml: entry \d+: class duodenum is not in the schema"):
        opened(folder)
    # 2. lexicon.yaml
    edit(
        folder / "lexicon.yaml",
        lambda text: re.sub(r"classes: \[.*\]", lambda entry: re.sub(r"\bduodenum\b", "small_bowel", entry[0]), text),
    )
    # 3. plausibility.yaml
    edit(folder / "plausibility.yaml", lambda text: re.sub(r"  duodenum: .*\n", "", text))

    schema, lexicon = opened(folder)
    assert schema_warnings(lexicon, schema) == []
    bowel = schema.by_name["small_bowel"].id
    assert schema.native_lut("total")[[18, 19]].tolist() == [bowel, bowel]
    text = "Duodenum und Dünndarm unauffällig."
    assert named(text, "de", lexicon) == [("Duodenum", ("small_bowel",)), ("Dünndarm", ("small_bowel",))]
    assert named("Duodenojejunaler Übergang.", "de", lexicon) == [("Duodenojejunaler", ("small_bowel",))]
    mentions = [
        GroundableMention(
            mention.start, mention.end, mention.text, tuple(schema.by_name[name].id for name in mention.classes)
        )
        for mention in find_mentions(text, "de", lexicon)
    ]
    entities = ground_mentions(mentions, {bowel: 400}, class_matcher(schema, "strict"))
    assert [(entity.text, entity.class_id, entity.via) for entity in entities] == [
        ("Duodenum", bowel, "exact"),
        ("Dünndarm", bowel, "exact"),
    ]
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1:3, 1:3, 1:3] = bowel
    assert find_flags(labels, np.eye(4), schema, load_norms(folder / "plausibility.yaml")) == []
