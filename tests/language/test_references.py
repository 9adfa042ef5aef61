import pytest

from refrad.language.references import ImageReference, take_references


@pytest.mark.parametrize(
    ("sentence", "expected", "rest"),
    [
        ("Zyste der Leber (Se 4, IMA 87).", [(4, 87, 87)], "Zyste der Leber."),
        ("Zyste der Leber (Serie 4, Bild 45-47).", [(4, 45, 47)], "Zyste der Leber."),
        ("Liver cyst (series 4, image 87).", [(4, 87, 87)], "Liver cyst."),
        ("Liver cyst on image 12 of series 3.", [(3, 12, 12)], "Liver cyst."),
        ("Magen entfaltet (3/25).", [(3, 25, 25)], "Magen entfaltet."),
        ("Liver segment (4/5) is small.", [], "Liver segment (4/5) is small."),
        ("Vorfall LWK (4/5).", [], "Vorfall LWK (4/5)."),
        ("Stand (03/2021).", [], "Stand (03/2021)."),
        ("Die Leber ist groß.", [], "Die Leber ist groß."),
    ],
)
def test_references_are_read_and_cut(sentence, expected, rest):
    found, left = take_references(sentence, {3, 4})
    assert [tuple(one) for one in found] == expected
    assert left == rest


def test_a_reference_that_the_sentence_needs_stays():
    found, left = take_references("Bild 12 zeigt eine Zyste.")
    assert found == [ImageReference(None, 12, 12)] and left.startswith("Bild 12")
