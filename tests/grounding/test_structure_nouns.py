"""Names of structures in a sentence: articles, cases, numbers, for every class of the schema in both languages."""

from pathlib import Path

import pytest

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import AnatomyClass, load_schema
from refrad.grounding.structure_nouns import ARTICLES, DATIVES, PHRASES, PLURALS, noun_of
from refrad.language.mention_finder import find_mentions

ANATOMY = Path(__file__).resolve().parents[2] / "workflow" / "anatomy"
SCHEMA = load_schema(ANATOMY / "classes.yaml")
LEXICON = load_lexicon(ANATOMY / "lexicon.yaml", SCHEMA)


@pytest.mark.parametrize("structure", SCHEMA.classes, ids=lambda structure: structure.name)
def test_name_in_a_sentence_means_its_class(structure):
    wholes = {SCHEMA.by_id[whole].name for whole in SCHEMA.wholes(structure.id)}
    wholes.add(structure.name.replace("_cyst", ""))
    for language, question in (("en", "Is {} visible?"), ("de", "Ist {} zu sehen?")):
        noun = noun_of(structure, language)
        for name in (noun.label, noun.subject, noun.location):
            mentions = find_mentions(question.format(name), language, LEXICON)
            classes = {entry for mention in mentions for entry in mention.classes}
            assert structure.name in classes and classes <= {structure.name, *wholes}, name


@pytest.mark.parametrize("structure", SCHEMA.classes, ids=lambda structure: structure.name)
def test_german_name_has_an_article_of_its_number(structure):
    noun = noun_of(structure, "de")
    level = structure.german.split()[0] in {"SWK", "LWK", "BWK", "HWK"}
    phrase = structure.german in PHRASES
    assert noun.article in ({""} if level else {"der", "die", "das"} if not phrase else {"die", ""})
    assert not noun.plural or noun.article in ("die", "")
    if not phrase:
        assert noun.subject.startswith(noun.article)
        case = {"der": "im ", "das": "im ", "die": "in den " if noun.plural else "in der ", "": "in "}
        assert noun.location.startswith(case[noun.article])


@pytest.mark.parametrize(
    ("name", "subject", "location"),
    [
        ("kidney_left", "die linke Niere", "in der linken Niere"),
        ("humerus_right", "der rechte Humerus", "im rechten Humerus"),
        ("hip_left", "das linke Hüftbein", "im linken Hüftbein"),
        ("lung_upper_lobe_left", "der linke Lungenoberlappen", "im linken Lungenoberlappen"),
        ("autochthon_right", "die rechte autochthone Rückenmuskulatur", "in der rechten autochthonen Rückenmuskulatur"),
        ("gluteus_maximus_left", "der linke Musculus gluteus maximus", "im linken Musculus gluteus maximus"),
        ("rib_right_12", "die 12. Rippe rechts", "in der 12. Rippe rechts"),
        ("vertebrae_L4", "LWK 4", "in LWK 4"),
        ("liver", "die Leber", "in der Leber"),
        ("stomach", "der Magen", "im Magen"),
        ("heart", "das Herz", "im Herzen"),
        ("costal_cartilages", "die Rippenknorpel", "in den Rippenknorpeln"),
        ("vertebrae", "die Wirbelkörper", "in den Wirbelkörpern"),
        ("intervertebral_discs", "die Bandscheiben", "in den Bandscheiben"),
        ("portal_vein_and_splenic_vein", "die Pfortader und die Milzvene", "in der Pfortader und der Milzvene"),
        ("kidney_cyst_left", "eine linke Nierenzyste", "in der linken Nierenzyste"),
        ("kidney_cyst_right", "eine rechte Nierenzyste", "in der rechten Nierenzyste"),
    ],
)
def test_german_name_is_inflected(name, subject, location):
    noun = noun_of(SCHEMA.by_name[name], "de")
    assert (noun.subject, noun.location) == (subject, location)


@pytest.mark.parametrize(
    ("name", "subject", "plural"),
    [
        ("kidney_left", "the left kidney", False),
        ("rib_left_1", "the left 1st rib", False),
        ("rib_left_2", "the left 2nd rib", False),
        ("rib_right_3", "the right 3rd rib", False),
        ("rib_right_12", "the right 12th rib", False),
        ("vertebrae_L4", "the L4 vertebra", False),
        ("lung_upper_lobe_left", "the upper lobe of the left lung", False),
        ("vertebrae", "the vertebrae", True),
        ("costal_cartilages", "the costal cartilages", True),
        ("intervertebral_discs", "the intervertebral discs", True),
        ("portal_vein_and_splenic_vein", "the portal and splenic veins", True),
        ("kidney_cyst_left", "a left kidney cyst", False),
        ("kidney_cyst_right", "a right kidney cyst", False),
    ],
)
def test_english_name_has_ordinals_and_number(name, subject, plural):
    noun = noun_of(SCHEMA.by_name[name], "en")
    assert (noun.subject, noun.plural) == (subject, plural)


@pytest.mark.parametrize("structure", [c for c in SCHEMA.classes if c.side], ids=lambda structure: structure.name)
def test_name_without_its_side_is_that_of_both_sides(structure):
    twin = SCHEMA.twin(structure.id)
    for language, sides in (("en", ("left", "right")), ("de", ("link", "recht"))):
        unsided = noun_of(structure, language).unsided
        assert not any(side in unsided for side in sides)
        assert twin is None or noun_of(SCHEMA.by_id[twin], language).unsided == unsided


def test_entry_of_a_table_is_used_by_a_class():
    names = {name for structure in SCHEMA.classes for name in (structure.english, structure.german)}
    nouns = {word for name in names for word in name.split()}
    assert set(PHRASES) <= names
    assert ARTICLES.keys() | DATIVES.keys() <= nouns and names | nouns >= PLURALS


@pytest.mark.parametrize(
    ("german", "subject"),
    [
        ("Sonderorgan", "Sonderorgan"),
        ("linker Sondermuskel", "der linke Sondermuskel"),
        ("neue Drüse", "die neue Drüse"),
        ("x-Zone", "x-Zone"),
    ],
)
def test_name_of_a_class_that_a_site_adds(german, subject):
    assert noun_of(AnatomyClass(125, "special", "special organ", german, "limb"), "de").subject == subject
