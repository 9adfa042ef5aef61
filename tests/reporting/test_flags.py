import pytest

from refrad.core.contracts import FlagTable, MaskTable, VolumeTable
from refrad.core.tables import frame_of, read_table
from refrad.reporting.flags import flag_sentence, flagged_figures
from refrad.segmentation.plausibility import FLAGS


def figures(study, schema):
    study.structures()
    contracts = {"flags": FlagTable, "volumes": VolumeTable, "masks": MaskTable}
    tables = [read_table(study.path(name), contract) for name, contract in contracts.items()]
    return flagged_figures(*tables, study.volume_store, study.mask_store, schema, 4)


def test_flagged_volume_has_one_figure_with_the_reasons(study, schema):
    (figure,) = figures(study, schema)
    assert [picture.edges.left for picture in figure.pictures] == ["R", "R", "A"]
    sentence = "The right kidney has 1.2 ml, which is too small: 43.7 to 444 ml are plausible."
    assert figure.caption == f"CT, axial: {sentence} Volume v, patient p."
    assert "right kidney" in [chip.name for chip in figure.legend]


SENTENCES = {
    "empty": ((None, None, None, None), "No class of the schema is in the volume."),
    "volume": ((1, 2500.0, 20.0, 900.0), "The spleen has 2,500 ml, which is too large: 20 to 900 ml are plausible."),
    "pieces": (
        (5, 0.6, 0.8, 1.0),
        "The liver is in pieces: the largest holds 60% of it, and at least 80% are plausible.",
    ),
    "sides": (
        (None, 0.75, 0.0, 0.5),
        "Left and right are probably swapped: of 75% of the pairs of organs the left one lies to the right.",
    ),
    "elsewhere": (
        (1, -201.7, -150.0, 150.0),
        "The spleen lies 202 mm too low for the other organs of the image; up to 150 mm are plausible.",
    ),
}


def flag_of(name, class_id, value, low, high, action="flag"):
    return {
        "volume": "v",
        "flag": name,
        "class_id": class_id,
        "value": value,
        "low": low,
        "high": high,
        "action": action,
    }


@pytest.mark.parametrize("name", FLAGS)
def test_each_flag_is_a_plain_sentence(schema, name):
    values, sentence = SENTENCES[name]
    assert flag_sentence(flag_of(name, *values), schema) == sentence


def test_flag_names_direction_body_part_and_quarantine(schema):
    high = flag_of("elsewhere", 1, 201.7, -150.0, 150.0, "quarantine")
    assert "202 mm too high" in flag_sentence(high, schema)
    assert flag_sentence(high, schema).endswith(" The volume is quarantined.")
    other_part = flag_sentence(flag_of("elsewhere", 90, None, None, None), schema)
    assert other_part == "The brain does not belong to the body part that the header names."


def test_no_flags_give_no_figures(study, schema):
    tables = [frame_of([], contract) for contract in (FlagTable, VolumeTable, MaskTable)]
    assert flagged_figures(*tables, study.volume_store, study.mask_store, schema, 4) == []
