import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.language.references import ImageReference, take_references


@pytest.mark.parametrize(
    ("sentence", "expected", "rest"),
    [
        ("Zyste der Leber (Se 4, IMA 87).", [(4, 87, 87)], "Zyste der Leber."),
        ("Zyste der Leber (Serie 4, Bild 45-47).", [(4, 45, 47)], "Zyste der Leber."),
        ("Liver cyst (series 4, image 87).", [(4, 87, 87)], "Liver cyst."),
        ("Liver cyst on image 12 of series 3.", [(3, 12, 12)], "Liver cyst."),
        ("Magen entfaltet (3/25).", [(3, 25, 25)], "Magen entfaltet."),
        ("Herd (4/12, 3/30).", [(4, 12, 12), (3, 30, 30)], "Herd."),
        ("Herd (4/12 und 3/30).", [(4, 12, 12), (3, 30, 30)], "Herd."),
        ("Herd (Serie: 4, Bild: 12).", [(4, 12, 12)], "Herd."),
        ("Herd (Serien-Nr. 4, Bild-Nr. 12).", [(4, 12, 12)], "Herd."),
        ("Herd (Seriennummer 4, Bildnummer 12).", [(4, 12, 12)], "Herd."),
        ("Herd (S. 3, B. 45).", [(3, 45, 45)], "Herd."),
        ("Lesion (S4/I12).", [(4, 12, 12)], "Lesion."),
        ("Herd (Bild 23 ff.).", [(None, 23, 23)], "Herd."),
        ("Herd (Se 4 IMA 12; Se 3 IMA 30).", [(4, 12, 12), (3, 30, 30)], "Herd."),
        ("Herd (IMA 45, 47, Se 3).", [(3, 45, 45), (3, 47, 47)], "Herd."),
        ("Herd im Bild 12 der Serie 4.", [(4, 12, 12)], "Herd."),
        ("12. Rippe (Se 4, IMA 12, 15 mm groß).", [(4, 12, 12)], "12. Rippe (15 mm groß)."),
        ("Kraftgrad 4/5 links, Zyste L4/5.", [], "Kraftgrad 4/5 links, Zyste L4/5."),
        ("Fraktur S1 bis S3, B12-Mangel.", [], "Fraktur S1 bis S3, B12-Mangel."),
        ("Größe (12/14 mm).", [], "Größe (12/14 mm)."),
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


def test_reference_that_the_sentence_needs_stays():
    found, left = take_references("Bild 12 zeigt eine Zyste.")
    assert found == [ImageReference(None, 12, 12)] and left.startswith("Bild 12")


NUMBERS = st.integers(1, 400)


@given(
    st.sampled_from([3, 4]),
    NUMBERS,
    NUMBERS,
    st.sampled_from(["Se {} IMA {}-{}", "Serie {}, Bild {} bis {}", "series {}, images {} to {}"]),
)
def test_written_references_are_read_back(series, first, more, form):
    text = f"Zyste der Leber ({form.format(series, first, first + more)})."
    assert take_references(text, {3, 4}) == ([ImageReference(series, first, first + more)], "Zyste der Leber.")
