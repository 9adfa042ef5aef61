import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.language.references import ImageReference, take_references

SERIES = {2, 3, 4}


def written(references):
    """References in a short form: 4:87, 4:45-47, a series alone as 4, an image without series as :12, with its plane as :12c."""
    texts = []
    for reference in references:
        text = f"{reference.series_number or ''}" + (f":{reference.image_first}" if reference.image_first else "")
        if reference.image_last != reference.image_first:
            text += f"-{reference.image_last}"
        texts.append(text + (reference.plane or "")[:1])
    return " ".join(texts)


def assert_taken(sentence, expected, left):
    references, text = take_references(sentence, SERIES)
    assert (written(references), text) == (expected, left)


@pytest.mark.parametrize(
    ("sentence", "expected", "left"),
    [
        ("Zyste der Leber (Se 4, IMA 87).", "4:87", "Zyste der Leber."),
        ("Zyste der Leber (Serie 4, Bild 45-47).", "4:45-47", "Zyste der Leber."),
        ("Liver cyst on image 12 of series 3.", "3:12", "Liver cyst."),
        ("Herd (Serie: 4, Bild: 12).", "4:12", "Herd."),
        ("Herd (Serien-Nr. 4, Bild-Nr. 12).", "4:12", "Herd."),
        ("Herd (Seriennummer 4, Bildnummer 12).", "4:12", "Herd."),
        ("Herd (Bildnr. 12, Seriennr. 4).", "4:12", "Herd."),
        ("Herd (Serie #4, Bild #87).", "4:87", "Herd."),
        ("Herd (S. 3, B. 45).", "3:45", "Herd."),
        ("Lesion (S4/I12).", "4:12", "Lesion."),
        ("Lesion (s4,i12).", "4:12", "Lesion."),
        ("Herd (Se. 4 Im. 87).", "4:87", "Herd."),
        ("Herd (Se04/Im087).", "4:87", "Herd."),
        ("Mass (Se/Im: 4/87).", "4:87", "Mass."),
        ("Mass (Ser/Img 4/87).", "4:87", "Mass."),
        ("ZYSTE (SE 3, IMA 40).", "3:40", "ZYSTE."),
        ("Cyst (SE:3, IM:40).", "3:40", "Cyst."),
        ("Herd (Bild 23 ff.).", ":23", "Herd."),
        ("Herd (Schnittbild 12).", ":12", "Herd."),
        ("Herd (Se 4 IMA 12; Se 3 IMA 30).", "4:12 3:30", "Herd."),
        ("Herd im Bild 12 der Serie 4.", "4:12", "Herd."),
        ("Herd dargestellt auf Bild 12 der Serie 3.", "3:12", "Herd."),
        ("Herd, Serie 4 (Bild 87).", "4:87", "Herd."),
        ("Herd (Serie 4).", "4", "Herd."),
        ("Magen entfaltet (3/25).", "3:25", "Magen entfaltet."),
        ("Herd (4/12, 3/30).", "4:12 3:30", "Herd."),
        ("Herd (4/12 und 3/30).", "4:12 3:30", "Herd."),
        ("Herd (9/87).", "9:87", "Herd."),
        ("(4/87)", "4:87", ""),
        ("Herd (siehe 4/87).", "4:87", "Herd."),
        ("Herd (s. 4/87).", "4:87", "Herd."),
        ("Herd (s. Bild 12).", ":12", "Herd."),
        ("Nodule (e.g. series 4, image 87).", "4:87", "Nodule."),
        ("Nodule (best seen on series 4, image 87).", "4:87", "Nodule."),
        ("Herd (4/87) und Zyste (3/30).", "4:87 3:30", "Herd und Zyste."),
        ("12. Rippe (Se 4, IMA 12, 15 mm groß).", "4:12", "12. Rippe (15 mm groß)."),
        ("Herd (12 x 10 mm, IMA 87) im Segment V.", ":87", "Herd (12 x 10 mm) im Segment V."),
        ("Fraktur S1, Bild 12.", ":12", "Fraktur S1."),
    ],
)
def test_references_are_read_and_cut(sentence, expected, left):
    assert_taken(sentence, expected, left)


@pytest.mark.parametrize(
    ("sentence", "expected", "left"),
    [
        ("Zyste (Bild 14/65).", ":14", "Zyste."),
        ("Zyste, Bild 45/120.", ":45", "Zyste."),
        ("Nodule (image 45 out of 300).", ":45", "Nodule."),
        ("Zyste (Bild 12 von insgesamt 80).", ":12", "Zyste."),
        ("Nodule (im 33/120).", ":33", "Nodule."),
        ("Nodule (slice 33/120, series 3).", "3:33", "Nodule."),
        ("Mass (images 45-50 of 120).", ":45-50", "Mass."),
    ],
)
def test_count_of_images_is_no_image(sentence, expected, left):
    assert_taken(sentence, expected, left)


@pytest.mark.parametrize(
    ("sentence", "expected", "left"),
    [
        ("Mass (4:87 and 4:90).", "4:87 4:90", "Mass."),
        ("Mass (series 3:41-45).", "3:41-45", "Mass."),
        ("Mass on series 4:87.", "4:87", "Mass."),
        ("Untersuchung (14:30).", "", "Untersuchung (14:30)."),
        ("Aufnahme (4:05).", "", "Aufnahme (4:05)."),
        ("Verdünnung (1:10).", "", "Verdünnung (1:10)."),
        ("Signalverhältnis (2:15).", "", "Signalverhältnis (2:15)."),
    ],
)
def test_pair_with_a_colon_is_an_image_if_it_is_no_ratio_or_time(sentence, expected, left):
    assert_taken(sentence, expected, left)


@pytest.mark.parametrize(
    ("sentence", "expected", "left"),
    [
        ("Herde (Bilder 87, 88 und 90).", ":87 :88 :90", "Herde."),
        ("Herde (Bilder 87,88,90).", ":87 :88 :90", "Herde."),
        ("Herde (Serie 4, Bilder 87-89 sowie 95).", "4:87-89 4:95", "Herde."),
        ("Herde (Bilder 87, 88 u. 90 der Serie 4).", "4:87 4:88 4:90", "Herde."),
        ("Herd (IMA 45, 47, Se 3).", "3:45 3:47", "Herd."),
        ("Nodules (images 8, 14, and 21 of series 3).", "3:8 3:14 3:21", "Nodules."),
        ("Nodules (series 3, images 8 & 14).", "3:8 3:14", "Nodules."),
        ("Nodules (Bilder 45/46).", ":45 :46", "Nodules."),
        ("Herd (Serien 3 und 4, Bild 12).", "3:12 4:12", "Herd."),
        ("Herd (Bild 12 und 2 weitere).", ":12", "Herd (2 weitere)."),
        ("Thrombus (Bild 87 bis Bild 92).", ":87-92", "Thrombus."),
        ("Thrombus (Serie 4/Bild 87 bis Bild 92).", "4:87-92", "Thrombus."),
        ("Thrombus (Serie 4 Bild 87 bis Serie 4 Bild 92).", "4:87-92", "Thrombus."),
        ("Thrombus (4/87-92).", "4:87-92", "Thrombus."),
        ("Thrombus (4/87 bis 4/92).", "4:87-92", "Thrombus."),
        ("Thrombus (slices 87 thru 92).", ":87-92", "Thrombus."),
        ("Läsion (Bild 40 – 44).", ":40-44", "Läsion."),
    ],
)
def test_lists_and_ranges_of_images(sentence, expected, left):
    assert_taken(sentence, expected, left)


@pytest.mark.parametrize(
    ("sentence", "expected", "left"),
    [
        ("Herd (4/87, vormals 4/80).", "4:87", "Herd."),
        ("Herd (4/87; zuvor Serie 2, Bild 80).", "4:87", "Herd."),
        ("Herd (zuvor 4/80, aktuell 4/87).", "4:87", "Herd."),
        ("Herd (VU: 4/80, jetzt 4/87).", "4:87", "Herd."),
        ("Herd (4/87; im Vor-CT vom [DATE] 2/80).", "4:87", "Herd."),
        ("Herd (4/80 der Voruntersuchung).", "", "Herd."),
        ("Herd (Vergleichsaufnahme: Serie 4, Bild 80).", "", "Herd."),
        ("Herd (Serie 3, Bild 80 vom [DATE]).", "", "Herd."),
        ("Herd wie in der Voraufnahme (4/80).", "", "Herd wie in der Voraufnahme."),
        ("Nodule (was 4/55, now 4/61).", "4:61", "Nodule."),
        ("Nodule (4/61, compared to 2/55).", "4:61", "Nodule."),
        ("Nodule (4/87, 12 mm, previously 8 mm on 4/80).", "4:87", "Nodule (12 mm, previously 8 mm)."),
        ("Nodule (image 61; prior: image 55).", ":61", "Nodule."),
        ("Herd Bild 87, zuvor Bild 80.", ":87", "Herd."),
        ("Im Vergleich zu Bild 80 kleiner.", "", "Im Vergleich zu Bild 80 kleiner."),
        ("Herd seit Jahren bekannt, Bild 80.", ":80", "Herd seit Jahren bekannt."),
        ("Unverändert zur Voruntersuchung, Herd (4/87).", "4:87", "Unverändert zur Voruntersuchung, Herd."),
    ],
)
def test_image_of_another_examination_is_none(sentence, expected, left):
    assert_taken(sentence, expected, left)


@pytest.mark.parametrize(
    "sentence",
    [
        "Kraftgrad 4/5 links, Zyste L4/5.",
        "Fraktur S1 bis S3, B12-Mangel.",
        "Größe (12/14 mm).",
        "Liver segment (4/5) is small.",
        "Vorfall LWK (4/5).",
        "Prolaps BWK (11/12).",
        "Herniation (S1/2).",
        "Stand (03/2021).",
        "Operation (4/2019).",
        "Stand (03/24).",
        "Die Leber ist groß.",
        "Blutdruck (120/80).",
        "PI-RADS (4/5).",
        "Pfirrmann (4/5) in der Mitte.",
        "ASPECTS (8/10).",
        "Glasgow Coma Scale (3/15).",
        "Stenose (2/3 der Zirkumferenz).",
        "Tumor 2/3 des Lumens.",
        "Stadium pN1 (3/14).",
        "Rippen (2/12) frakturiert.",
        "Lymph nodes (2/17) positive.",
        "Lymphknotenbefall (3/18).",
        "Befall von (3/14) Lymphknoten.",
        "In (2/30) Fällen.",
        "(2/17) Lymphknoten mit Metastasen.",
        "Herniation L5/S1.",
        "Signal in T1/T2.",
        "Schichtdicke 5 mm, Schichten 1 mm.",
        "Aufnahme 2 Tage nach OP.",
        "Herd im 2. Segment (im 4. Segment).",
        "Aufnahmen in 2 Ebenen.",
        "Series of 3 images.",
    ],
)
def test_level_grade_fraction_or_date_is_no_image(sentence):
    assert_taken(sentence, "", sentence)


@pytest.mark.parametrize(
    ("sentence", "expected", "left"),
    [
        ("Fraktur (Bild 34, koronar).", ":34c", "Fraktur."),
        ("Fraktur (kor. Bild 34).", ":34c", "Fraktur."),
        ("Fraktur (frontale Schicht 34).", ":34c", "Fraktur."),
        ("Fraktur, sag. T2 Bild 8.", ":8s", "Fraktur."),
        ("Fraktur (Bild 12 der sagittalen Serie).", ":12s", "Fraktur."),
        ("Fraktur Bild 12 (koronar).", ":12c", "Fraktur."),
        ("Fracture (image 34 on the coronal reformats).", ":34c", "Fracture."),
        ("Fracture on axial images 12 and 15.", ":12a :15a", "Fracture."),
        ("Axial image 12 shows a fracture.", ":12a", "Axial image 12 shows a fracture."),
        ("Fraktur in den koronaren MPR (Bild 12).", ":12c", "Fraktur in den koronaren MPR."),
        ("Herd (transversale Schicht 40).", ":40a", "Herd."),
        ("Herd (axial 4/87).", "4:87", "Herd."),
        ("Herd (Se 4, koronares Bild 12).", "4:12", "Herd."),
        ("Koronare Schichten 3 mm.", "", "Koronare Schichten 3 mm."),
    ],
)
def test_plane_is_read_where_no_series_is_named(sentence, expected, left):
    assert_taken(sentence, expected, left)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Bild 12 zeigt eine Zyste.", ":12"),
        ("Bilder 12 und 15 zeigen Zysten.", ":12 :15"),
        ("On images 12 and 13 of series 3, there is a cyst.", "3:12 3:13"),
        ("Auf Bild 12, links, liegt eine Zyste.", ":12"),
    ],
)
def test_reference_that_the_sentence_needs_stays(sentence, expected):
    assert_taken(sentence, expected, sentence)


def test_pair_without_known_series_is_an_image_of_large_numbers():
    assert take_references("Herd (4/87).") == ([ImageReference(4, 87, 87)], "Herd.")
    assert take_references("Herd (4/7).") == ([], "Herd (4/7).")


NUMBERS = st.integers(1, 400)
FORMS = ["Se {} IMA {}-{}", "Serie {}, Bild {} bis {}", "series {}, images {} to {}", "Se {}/Bild {} bis Bild {}"]


@given(st.sampled_from([3, 4]), NUMBERS, NUMBERS, st.sampled_from(FORMS))
def test_written_references_are_read_back(series, first, more, form):
    text = f"Zyste der Leber ({form.format(series, first, first + more)})."
    assert take_references(text, {3, 4}) == ([ImageReference(series, first, first + more)], "Zyste der Leber.")


@given(st.text(alphabet="SeBildIMA 123,/:()-. und[]zuvor", max_size=60))
def test_no_text_is_too_odd(text):
    references, left = take_references(text, SERIES)
    assert references or left == take_references(left, SERIES)[1]
