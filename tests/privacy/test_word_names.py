"""Words of reports that are names as well: they stay unless their place in the sentence is that of a name."""

import re

import pytest

from refrad.privacy import word_names
from refrad.privacy.known_names import find_names, name_forms
from refrad.privacy.name_folding import fold_name

GERMAN = """
    Der Herd ist klein und rund, der Rand scharf und glatt, der Kern hell.
    Die Milz ist groß, 15 cm lang und breit, der Hals kurz.
    Hoch und tief gelegene Knoten sind dick, dünn, weit oder eng.
    Der Knochen ist hart, das Gewebe weich und zart, der Bauch flach.
    Der Stein liegt fest, die Hand ist frei beweglich, das Band gerade.
    Alt und neu verglichen, jung gestorben, kalt und warm geduscht.
    Die Schicht ist rot, weiß, schwarz, braun, grün, blau, gelb, grau oder dunkel.
    Der Mann ist leicht bis stark krank, sehr schwach und schwer dement, reich an Jahren.
    Gut abgrenzbar, recht homogen, halb oder ganz voll, nie leer.
    Früh und spät still, trocken, feucht, frisch und gesund, wohl sicher einfach.
    Kraus, spitz oder stumpf, steil oder eben, klar und rein, fein bis grob, lose und locker.
    Am Montag, Freitag, Samstag oder Sonntag, im Januar, Februar, März, April, Mai, Juni, Juli, August.
    Im Winter, Sommer und Herbst, in May und June.
    Abt. 3, Max. 5 mm, max. 4 mm, Min. 3 mm, Jan 22, Jan. 2020, Jun. 2020, Art. pulmonalis, Pat. normal, Ant. Wand, ernst zu nehmen.
    Fuß, Kopf, Arm, Bein, Zahn, Rücken, Brust, Auge, Nase, Mund, Finger, Haut, Knie, Ferse, Sohle, Haupt normal.
    Ein Bruch, ein Krebs, ein Schatten, ein Spalt, ein Riss, eine Kappe.
    Sand, Kalk, Fett, Luft, Blut und Wasser.
    Stamm und Ast, Rinde und Mark, Wand, Boden, Dach, Decke, Brücke, Kammer, Bogen.
    Kreis, Ring, Kreuz, Stern, Kugel, Keil, Haken, Klammer, Nagel, Naht, Faden.
    Sack, Tasche, Falte, Punkt, Fleck, Zeichen im Bild, Schnitt, Berg, Feld, Bach, Wurzel, Vogel.
    Auf Grund der Lage, zum Teil, dem Grad und Stand nach, kein Gang, Fall, Sturz oder Schlag.
    Druck, Zug, Kraft und Last, Licht, Ruhe, Ende.
    Frau, Kind, Vater, Mutter, Sohn und Bruder, ein älterer Herr.
    Nieren li. und re. an der Wand, am Hals, im Bauch, in Ruhe, so da, du, es, er, ob, um, zu.
    OP, TU, FA, OL, UL, ST, AP, MO, DI, FR, SA, LA, LE, HE, HU, MI, CA.
    Bei Druck mit Zug, hat, war, wie, nun, nur, kam.
"""
ENGLISH = """
    Small, large, long, short, broad, high, low, deep, thick or thin lesion.
    Round, wide, narrow, flat, sharp, smooth, hard, soft and free.
    Old and new, young, cold, warm, red, white, black, brown, green, gray, grey, light and dark.
    Strong, heavy, rich, poor, good, fine, straight, whole, half, full and little.
    Early or late, still dry, fresh, well, simple, plain, clear, gross, loose.
    Stone, head, neck, foot, back, chest, bone, hip, knee and heart.
    Summer. Wall, field, ball, root, case, page, chance, lane, cross, bridge, gate, cord.
    Line, point, spot, part, side, ground, best, can, do, see, day, man, son, her.
    Marks, a mark, x-ray, a rose, frank, to grant, iris, vera, rosa, alba, bill, drew, will, major and minor.
    An, no, to, al, at, as, by, if, is, it, of, on, or, us, we, MA of the lesion.
"""
SENTENCES = [line.strip() for line in (GERMAN + ENGLISH).splitlines() if line.strip()]
TABLES = {
    "de": word_names.ADJECTIVES + word_names.NOUNS,
    "en": word_names.ENGLISH,
    "short": word_names.SHORT,
    "given": word_names.GIVEN,
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_sentence_stays_for_a_patient_of_any_of_its_words(sentence):
    for word in re.findall(r"[^\W\d_]+", sentence):
        if word_names.is_word(fold_name(word)):
            assert not list(find_names(sentence, name_forms([f"{word}^Zdenka"]), lambda _: False)), word


@pytest.mark.parametrize("table", TABLES)
def test_each_word_of_a_table_is_in_a_sentence(table):
    said = {word.lower() for sentence in SENTENCES for word in re.findall(r"[^\W\d_]+", sentence)}
    assert not set(TABLES[table].split()) - said


@pytest.mark.parametrize("noun", word_names.TERM_NOUNS.split())
def test_name_joined_to_a_noun_is_a_term(noun):
    text = f"Tietz-{noun.capitalize()}, Tietz-Ober{noun}n"
    assert not list(find_names(text, name_forms(["Tietz^Zdenka"]), lambda _: False))


@pytest.mark.parametrize("word", word_names.NO_PERSON.split())
def test_word_in_place_of_a_name_hides_nothing(word):
    assert name_forms([word]) == name_forms([])
