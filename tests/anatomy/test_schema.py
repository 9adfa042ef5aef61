import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydicom.sr._concepts_dict import concepts

from refrad.anatomy.schema import load_schema


@pytest.fixture(scope="module")
def path(root):
    return root / "workflow" / "anatomy" / "classes.yaml"


@pytest.fixture(scope="module")
def schema(path):
    return load_schema(path)


def test_121_classes_are_those_of_totalsegmentator(schema):
    tables = pytest.importorskip("totalsegmentator.map_to_binary").class_map
    assert len(schema.classes) == 121
    names = {0: ""} | {one.id: one.name for one in schema.classes}
    for task in ("total", "total_mr"):
        lut = schema.native_lut(task)
        assert {native: names[lut[native]] for native in tables[task]} == tables[task]
    assert all(one.id == native for one in schema.classes for native in one.native.get("total", ()))


def test_classes_have_totalsegmentators_codes_regions_and_sides(schema):
    package = pytest.importorskip("totalsegmentator")
    path = Path(package.__file__).parent / "resources" / "totalsegmentator_snomed_mapping.csv"
    with path.open(encoding="utf-8") as file:
        codes = {row["Structure"]: row["SegmentedPropertyTypeCodeSequence.CodeValue"] for row in csv.DictReader(file)}
    for side in ("left", "right"):  # the table has 29700009, which is the right artery, for both
        codes[f"subclavian_artery_{side}"] = "36765005"
    assert {one.name: one.snomed for one in schema.classes if one.name in codes} == {
        one.name: codes[one.name] for one in schema.classes if one.name in codes
    }
    assert sum(one.name in codes for one in schema.classes) == 117
    assert all(one.snomed and one.snomed.isdigit() for one in schema.classes)
    regions = {"head", "neck", "chest", "abdomen", "pelvis", "spine", "limb"}
    assert {one.region for one in schema.classes} == regions
    for one in schema.classes:
        assert one.side == next((side for side in ("left", "right") if side in one.name.split("_")), None), one.name


def test_code_of_a_paired_class_names_no_side(schema):
    """The dictionary of DICOM knows most of the codes; a side in the code would contradict the modifier of the other class."""
    meanings = {code: meaning for words in concepts["SCT"].values() for code, (meaning, _) in words.items()}
    for entry in schema.classes:
        other = schema.twins.get(entry.name)
        if other and entry.snomed == schema.by_name[other].snomed:
            words = meanings.get(entry.snomed, "").lower().split()
            assert "left" not in words and "right" not in words, entry.name


def test_mr_only_classes_are_wholes_of_ct_classes(schema):
    """What CT and MR label at different depth meets in the hierarchy; only discs and ribs have no counterpart."""
    for one in schema.classes:
        if set(one.native) == {"total_mr"}:
            assert schema.parts(one.id) or one.name == "intervertebral_discs"
    levels = [one for one in schema.classes if one.name.startswith("vertebrae_")]
    assert len(levels) == 25
    assert schema.parts(schema.by_name["vertebrae"].id) == {one.id for one in levels}


def test_lung_is_its_lobes_and_a_lobe_is_part_of_its_lung(schema):
    lung = schema.by_name["lung_left"].id
    lobes = {schema.by_name[f"lung_{lobe}_lobe_left"].id for lobe in ("upper", "lower")}
    assert schema.parts(lung) == lobes
    assert all(schema.wholes(lobe) == {lung} for lobe in lobes)


def test_twin_of_a_twin_is_the_class_itself(schema):
    sided = [one for one in schema.classes if one.side and schema.twin(one.id)]
    assert len(sided) > 60
    assert all(schema.twin(schema.twin(one.id)) == one.id for one in sided)
    assert schema.twin(schema.by_name["liver"].id) is None


def test_class_names_are_distinct_in_both_languages(schema):
    for language in ("english", "german"):
        assert len({getattr(one, language) for one in schema.classes}) == len(schema.classes)


def edited(path, tmp_path, edit):
    content = yaml.safe_load(path.read_text())
    edit(content["classes"])
    target = tmp_path / "classes.yaml"
    target.write_text(yaml.safe_dump(content))
    return target


def test_schema_with_merged_and_added_classes_is_read(path, tmp_path):
    def edit(classes):
        right = next(c for c in classes if c["name"] == "kidney_right")
        left = next(c for c in classes if c["name"] == "kidney_left")
        right.update(name="kidneys", english="kidneys", german="Nieren", native={"total": [2, 3], "total_mr": [2, 3]})
        del right["side"]
        classes.remove(left)
        classes.append({"id": 122, "name": "new", "english": "new", "german": "neu", "region": "chest", "native": {}})

    schema = load_schema(edited(path, tmp_path, edit))
    assert np.array_equal(schema.native_lut("total")[:4], [0, 1, 2, 2])
    assert schema.by_id[122].english == "new"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c[1].update(id=1), "id 1 belongs to both spleen and kidney_right"),
        (lambda c: c[1].update(native={"total": [1]}), "native label of total 1 belongs to both"),
        (lambda c: c[1].update(colour="red"), "class entry 2: unknown key colour"),
        (lambda c: c[1].pop("german"), "class entry 2: german is missing"),
        (lambda c: c[1].update(parts=["kidny"]), "part kidny is no class"),
        (lambda c: c[1].update(side="up"), "side is up, not left or right"),
        (lambda c: c[1].update(id=0), "id 0 is not between 1 and 127"),
        (lambda c: c[1].update(id=128), "id 128 is not between 1 and 127: the model has 128 class tokens"),
    ],
)
def test_mistake_in_the_schema_is_named(path, tmp_path, edit, message):
    with pytest.raises(ValueError, match=f"classes.yaml: .*{message}"):
        load_schema(edited(path, tmp_path, edit))


def test_classes_are_immutable(schema):
    with pytest.raises(dataclasses.FrozenInstanceError):
        schema.classes[0].name = "other"
