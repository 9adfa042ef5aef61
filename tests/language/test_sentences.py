import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.language.sentences import split_sentences


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
def test_sentence_ends(text, expected):
    assert list(split_sentences(text)) == expected


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Rundherd von ca. 1,2 cm im LWK 4/5. Z.n. Resektion.", 2),
        ("V. cava inf. frei. Leber o. B.", 2),
        ("Zyste i. S. einer einfachen Zyste. Keine Stauung.", 2),
        ("St. p. Cholezystektomie. Gallengänge zart.", 2),
        ("Metastasen, z. B. im Segment VIII. Aszites.", 2),
        ("CT vom 3. Mai 2021. Leber normal.", 2),
        ("Fraktur der 2. und 3. Rippe li. und der 4. Rippe re. Kein Pneu.", 2),
        ("Herd in Th 12. Keine Fraktur.", 2),
        ("BWK 12. LWK 1 intakt.", 2),
        ("1. Leberzyste. 2. Nierenzyste links.", 2),
        ("1) Leberzyste\n2) Nierenzyste links", 2),
        ("Die Leber ist normal groß und\nzeigt keine Herdbefunde. Milz normal.", 2),
        ("Vgl. Voruntersuchung v. 03.04.2020. Keine Änderung.", 2),
        ("Bosniak II. Leber normal.", 2),
        ("A. carotis int. dext. frei. Keine Plaques.", 2),
        ("Approx. 3 cm mass in the liver. No ascites.", 2),
        ("Seen on image no. 12. Normal spleen.", 2),
        ("Compared with the exam of Jan. 3, 2020. No change.", 2),
        ("Re. Niere normal. Li. Niere mit Zyste.", 2),
        ("Leber unauff. Milz unauff.", 2),
        ("Leber normal.Milz normal.", 2),
        ("Größe 1,2cm.Leber normal.", 2),
        ("Mail an anna.Muster@klinik.De bitte. Leber normal.", 2),
        ("Bandscheiben-\nvorfall L4/5.\nLeber normal", 2),
        ("Ober-\nund Unterlappen frei.", 1),
        ("Is there a mass? No.", 2),
    ],
)
def test_abbreviations_numbers_and_lists_end_no_sentence(text, count):
    assert len(split_sentences(text)) == count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Zyste, 3 cm gr., der Leber. Milz normal.", ["Zyste, 3 cm gr., der Leber.", "Milz normal."]),
        ("Ggr. Erguss. Mgr. Stenose. Hgr. Enge.", ["Ggr. Erguss.", "Mgr. Stenose.", "Hgr. Enge."]),
        ("GGR. ERGUSS. MILZ NORMAL.", ["GGR. ERGUSS.", "MILZ NORMAL."]),
        ("Bild wie sog. Baum. Milz normal.", ["Bild wie sog. Baum.", "Milz normal."]),
        ("Deg. Umbau. Retroperit. Lymphknoten.", ["Deg. Umbau.", "Retroperit. Lymphknoten."]),
        ("Subkap. Hämatom. Hypod. Läsion.", ["Subkap. Hämatom.", "Hypod. Läsion."]),
        ("Postop. Serom. Intraop. Befund.", ["Postop. Serom.", "Intraop. Befund."]),
        ("Niere i. S. Hydronephrose. Milz o. B.", ["Niere i. S. Hydronephrose.", "Milz o. B."]),
        ("Herd i. d. Rinde im Seg. VI. Milz normal.", ["Herd i. d. Rinde im Seg. VI.", "Milz normal."]),
        ("Liver incl. Dome normal. CT w/o contrast.", ["Liver incl. Dome normal.", "CT w/o contrast."]),
        ("Cyst resp. Abscess. Prob. Hemangioma.", ["Cyst resp. Abscess.", "Prob. Hemangioma."]),
        ("Ureteral stone: No. Bladder: normal.", ["Ureteral stone: No.", "Bladder: normal."]),
        ("Mass on slice No. 12 of the liver.", ["Mass on slice No. 12 of the liver."]),
        ("Zyste basal. Peripher. Milz normal.", ["Zyste basal.", "Peripher.", "Milz normal."]),
        ("1. Rippenprellung.\n2. Milzriss.", ["Rippenprellung.", "Milzriss."]),
        ("1. LWK 2 gebrochen.\n2. Milzriss.", ["LWK 2 gebrochen.", "Milzriss."]),
        ("-> Zyste\n=> Stein\n→ Erguss\n▪ Gas", ["Zyste", "Stein", "Erguss", "Gas"]),
        ("Leberzyste -> Kontrolle.", ["Leberzyste", "Kontrolle."]),
        ("Fazit -> 2 Zysten.", ["Fazit", "2 Zysten."]),
        ("Wachstum 4 mm -> 6 mm.", ["Wachstum 4 mm -> 6 mm."]),
        ("Leber:\nnormal groß\n- keine Herde", ["Leber: normal groß", "Leber: keine Herde"]),
    ],
)
def test_everyday_abbreviations_and_lists(text, expected):
    assert split_sentences(text) == expected


@pytest.mark.parametrize(
    "text", ["5. Rippe links frakturiert.", "6. Rippe: gebrochen.", "3. und 4. Rippe intakt.", "2. LWK gesintert."]
)
def test_number_that_counts_ribs_is_no_mark_of_a_list(text):
    assert split_sentences(text) == [text]


def test_word_parted_at_the_end_of_a_line_is_whole_again():
    assert split_sentences("Bandscheiben-\nvorfall L4/5.") == ["Bandscheibenvorfall L4/5."]


PIECES = [
    "Leber",
    "Milz.",
    "ca.",
    "1,2",
    "cm.",
    "Z.n.",
    "LWK",
    "4/5",
    "V.",
    "cava",
    "inf.",
    "3. Rippe",
    "und",
    "?",
    "o.B.",
    "re.",
    "Ödem;",
    "Th 12.",
    "am",
    "03.04.2021.",
    "5.-7. Rippe",
]


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from([" ", "\n", "  "])), max_size=25))
def test_sentences_keep_every_letter_in_order(pieces):
    text = "Die " + "".join(word + space for word, space in pieces)
    kept = [char for sentence in split_sentences(text) for char in sentence if char.isalnum()]
    assert kept == [char for char in text if char.isalnum()]


def test_empty_text_has_no_sentences():
    assert list(split_sentences(" \n ")) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Ggr. Enge der ACC re. Chron. Sinusitis.", 2),
        ("Konkrement bds. Max. 6 mm.", 2),
        ("Atelektase li. Z.n. Drainage.", 2),
        ("Rundherd re. Kleiner Erguss.", 2),
        ("Bandscheibenvorfall L5/S1 li. Foraminale Enge.", 2),
        ("Pneumothorax re. Rippenfrakturen.", 2),
        ("Nierenstein li. Harnblase leer.", 2),
        ("Fraktur BWK. Pankreas normal.", 2),
        ("Hämangiom im LWK. Leber normal.", 2),
        ("Stein der li. Niere.", 1),
        ("Rundherd re. OL 5 mm.", 1),
        ("Adenom li. NN 2 cm.", 1),
        ("Kleiner li. Pleuraerguss.", 1),
        ("Mit bds. Ergüssen.", 1),
        ("Zyste re. Nierenpol 3 cm.", 1),
        ("Thrombose der li. V. femoralis.", 1),
        ("Herd in LWK. 3 unverändert.", 1),
    ],
)
def test_cut_word_for_a_side_before_a_new_statement(text, count):
    assert len(split_sentences(text)) == count
