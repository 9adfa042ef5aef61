import pytest

from refrad.language.sentences import sentences_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Leber o.B. Milz o.B.", ["Leber o.B.", "Milz o.B."]),
        (
            "Z.n. Nephrektomie re. Die Milz ist ca. 11.5 cm lang.",
            ["Z.n. Nephrektomie re.", "Die Milz ist ca. 11.5 cm lang."],
        ),
        ("Fraktur der 5. Rippe links. Kein Erguss.", ["Fraktur der 5. Rippe links.", "Kein Erguss."]),
        ("- Leber normal\n- Milz normal", ["Leber normal", "Milz normal"]),
        ("Seen by Dr. Smith. Liver is normal.", ["Seen by Dr. Smith.", "Liver is normal."]),
        ("Stand vom 03.04.2021. Kein Erguss.", ["Stand vom 03.04.2021.", "Kein Erguss."]),
    ],
)
def test_sentences_end_where_people_end_them(text, expected):
    assert list(sentences_of(text)) == expected


def test_nothing_has_no_sentences():
    assert list(sentences_of(" \n ")) == []
