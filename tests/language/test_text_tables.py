import pytest

from refrad.language.sections import split_report

DAYS = [
    "Herd\tVoruntersuchung\tAktuell\nLeber\t12 mm\t14 mm",
    "| Lesion | Prior | Current |\n|---|---|---|\n| Liver | 12 mm | 14 mm |",
    "Herd   [DATE]   [DATE]\nLeber   12 mm   14 mm",
    "Leber Seg. II   1,2 x 0,8 cm   < 5 mm",
]


@pytest.mark.parametrize("table", DAYS)
def test_values_of_several_days_are_no_findings(table):
    assert split_report(f"Befund:\nFrei.\n{table}\nMilz normal.") == [
        ("findings", "Frei."),
        ("table", table),
        ("findings", "Milz normal."),
    ]


@pytest.mark.parametrize(
    ("table", "sentences"),
    [
        ("Organ\tBefund\nLeber\tnormal\nMilz\t12 cm", "Leber: normal.\nMilz: 12 cm."),
        ("| Size | Finding |\n|---|---|\n| Liver | normal |", "Liver: normal."),
        ("Herd 1 | Leber, Segment II | 14 mm", "Herd 1: Leber, Segment II, 14 mm."),
    ],
)
def test_row_of_one_value_is_a_sentence(table, sentences):
    assert split_report(f"Befund:\n{table}") == [("findings", sentences)]
