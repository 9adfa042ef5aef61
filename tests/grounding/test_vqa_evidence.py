"""A pair of a model is taken only where its evidence bears it out."""

from pathlib import Path

import pytest

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.grounding.vqa_checks import ImageFacts, VqaChecks, VqaPair

ANATOMY = Path(__file__).resolve().parents[2] / "workflow" / "anatomy"
SCHEMA = load_schema(ANATOMY / "classes.yaml")
CHECKS = VqaChecks(SCHEMA, load_lexicon(ANATOMY / "lexicon.yaml"))
VISIBLE = (
    "liver",
    "spleen",
    "kidney_left",
    "kidney_right",
    "gallbladder",
    "pancreas",
    "aorta",
    "portal_vein_and_splenic_vein",
)
TEXTS = {
    "en": [
        "No stones in the gallbladder.",
        "Hypodense mass in the pancreas, 2.4 cm.",
        "Cyst of the left kidney 12 mm, stone of the right kidney 5 mm.",
        "Suspected metastasis in the liver.",
        "The spleen is normal in size.",
        "Mild hydronephrosis of the right kidney.",
        "The portal vein is patent.",
    ],
    "de": [
        "Keine Steine in der Gallenblase.",
        "Hypodense Raumforderung im Pankreas, 2,4 cm.",
        "Zyste der linken Niere 12 mm, Stein der rechten Niere 5 mm.",
        "V.a. Metastase in der Leber.",
        "Die Milz ist normal groß.",
        "Geringe Hydronephrose der rechten Niere.",
        "Die Pfortader ist offen.",
    ],
}
CHOICES = {"en": ("left", "right", "both", "neither"), "de": ("links", "rechts", "beidseits", "keine")}

RIGHT = [
    ("en", "open", "What is seen in the pancreas?", "a hypodense mass", "Hypodense mass in the pancreas"),
    ("en", "open", "How large is the mass in the pancreas?", "2.4 cm", "mass in the pancreas, 2.4 cm"),
    ("en", "open", "How large is the cyst of the left kidney?", "12 mm", "Cyst of the left kidney 12 mm"),
    ("en", "open", "How large is the stone of the right kidney?", "5 mm", "stone of the right kidney 5 mm"),
    ("en", "open", "In which organ is there a stone?", "the right kidney", "stone of the right kidney"),
    ("en", "open", "What is suspected in the liver?", "a suspected metastasis", "Suspected metastasis in the liver"),
    ("en", "multiple", "On which side is the cyst of the kidney?", "left", "Cyst of the left kidney"),
    ("en", "multiple", "Which kidney shows hydronephrosis?", "right", "hydronephrosis of the right kidney"),
    ("en", "yesno", "Are there stones in the gallbladder?", "no", "No stones in the gallbladder"),
    ("en", "yesno", "Is there a mass in the pancreas?", "yes", "mass in the pancreas"),
    ("en", "yesno", "Is the mass of the pancreas hypodense?", "yes", "Hypodense mass in the pancreas"),
    ("en", "yesno", "Is the mass of the pancreas hyperdense?", "no", "Hypodense mass in the pancreas"),
    ("en", "yesno", "Is there a cyst in the right kidney?", "no", "Cyst of the left kidney"),
    ("en", "yesno", "Is there a cyst in the left kidney?", "yes", "Cyst of the left kidney"),
    ("en", "yesno", "Is the spleen enlarged?", "no", "spleen is normal in size"),
    ("en", "yesno", "Is the spleen normal in size?", "yes", "The spleen is normal in size"),
    (
        "en",
        "yesno",
        "Is the hydronephrosis of the right kidney severe?",
        "no",
        "Mild hydronephrosis of the right kidney",
    ),
    ("en", "yesno", "Is the portal vein patent?", "yes", "The portal vein is patent"),
    ("en", "yesno", "Is there thrombosis of the portal vein?", "no", "The portal vein is patent"),
    ("en", "yesno", "Is a metastasis in the liver suspected?", "yes", "Suspected metastasis in the liver"),
    (
        "de",
        "open",
        "Was ist im Pankreas zu sehen?",
        "eine hypodense Raumforderung",
        "Hypodense Raumforderung im Pankreas",
    ),
    ("de", "open", "Wie groß ist die Raumforderung im Pankreas?", "2,4 cm", "Raumforderung im Pankreas, 2,4 cm"),
    ("de", "open", "Wie groß ist die Zyste der linken Niere?", "12 mm", "Zyste der linken Niere 12 mm"),
    ("de", "open", "Wo liegt der Stein?", "in der rechten Niere", "Stein der rechten Niere"),
    ("de", "multiple", "Auf welcher Seite liegt die Zyste?", "links", "Zyste der linken Niere"),
    ("de", "multiple", "Welche Niere zeigt eine Hydronephrose?", "rechts", "Hydronephrose der rechten Niere"),
    ("de", "yesno", "Enthält die Gallenblase Steine?", "nein", "Keine Steine in der Gallenblase"),
    ("de", "yesno", "Gibt es eine Raumforderung im Pankreas?", "ja", "Raumforderung im Pankreas"),
    ("de", "yesno", "Liegt in der rechten Niere eine Zyste?", "nein", "Zyste der linken Niere"),
    ("de", "yesno", "Ist die Milz vergrößert?", "nein", "Milz ist normal groß"),
    ("de", "yesno", "Ist die Milz normal groß?", "ja", "Die Milz ist normal groß"),
    ("de", "yesno", "Ist die Pfortader thrombosiert?", "nein", "Die Pfortader ist offen"),
    ("de", "yesno", "Ist die Raumforderung im Pankreas hyperdens?", "nein", "Hypodense Raumforderung im Pankreas"),
    ("de", "yesno", "Hat die rechte Niere einen Stein?", "ja", "Stein der rechten Niere"),
    ("de", "yesno", "Ist die Hydronephrose der rechten Niere gering?", "ja", "Geringe Hydronephrose der rechten Niere"),
    ("de", "open", "Was zeigt die rechte Niere?", "einen Stein", "Stein der rechten Niere"),
    ("de", "open", "Was liegt in der Leber vor?", "V.a. Metastase", "V.a. Metastase in der Leber"),
    ("de", "open", "Wie ausgeprägt ist die Hydronephrose?", "gering", "Geringe Hydronephrose der rechten Niere"),
]
WRONG = [
    ("en", "open", "What is seen in the pancreas?", "a cyst", "Hypodense mass in the pancreas", "not_borne_out"),
    ("en", "open", "What is seen in the liver?", "a mass", "Hypodense mass in the pancreas", "not_borne_out"),
    ("en", "open", "How large is the mass in the pancreas?", "2.4 mm", "mass in the pancreas, 2.4 cm", "not_borne_out"),
    (
        "en",
        "open",
        "How large is the cyst of the left kidney?",
        "5 mm",
        "Cyst of the left kidney 12 mm",
        "not_borne_out",
    ),
    ("en", "open", "How large is the stone?", "12 mm", "Cyst of the left kidney 12 mm", "not_borne_out"),
    ("en", "open", "Where is the stone?", "in the left kidney", "stone of the right kidney", "not_borne_out"),
    ("en", "open", "What is in the left kidney?", "a stone", "stone of the right kidney", "not_borne_out"),
    ("en", "open", "What is seen in the gallbladder?", "stones", "stones in the gallbladder", "not_borne_out"),
    ("en", "open", "What is seen in the liver?", "a metastasis", "metastasis in the liver", "not_borne_out"),
    ("en", "open", "What is seen in the liver?", "a hemangioma", "Suspected metastasis in the liver", "not_borne_out"),
    ("en", "multiple", "On which side is the cyst of the kidney?", "right", "Cyst of the left kidney", "not_borne_out"),
    (
        "en",
        "multiple",
        "Which kidney shows hydronephrosis?",
        "both",
        "hydronephrosis of the right kidney",
        "not_borne_out",
    ),
    ("en", "yesno", "Are there stones in the gallbladder?", "yes", "stones in the gallbladder", "not_borne_out"),
    ("en", "yesno", "Is there a mass in the pancreas?", "no", "mass in the pancreas", "not_borne_out"),
    ("en", "yesno", "Is there a cyst in the right kidney?", "yes", "Cyst of the left kidney", "anatomy_not_in_row"),
    ("en", "yesno", "Is there a cyst in the left kidney?", "no", "Cyst of the left kidney", "not_borne_out"),
    ("en", "yesno", "Is the spleen enlarged?", "yes", "spleen is normal in size", "not_borne_out"),
    ("en", "yesno", "Is the spleen normal in size?", "no", "The spleen is normal in size", "not_borne_out"),
    ("en", "yesno", "Is the portal vein patent?", "no", "The portal vein is patent", "not_borne_out"),
    ("en", "yesno", "Is there a metastasis in the liver?", "yes", "metastasis in the liver", "not_borne_out"),
    ("en", "yesno", "Is there ascites?", "no", "Cyst of the left kidney", "not_borne_out"),
    ("en", "yesno", "Is there a mass in the pancreas?", "yes", "mass", "no_evidence"),
    ("en", "yesno", "Is there a mass in the pancreas?", "yes", "ass in the pancreas", "no_evidence"),
    ("en", "yesno", "Is there a mass in the pancreas?", "yes", "a mass in the pancreas", "no_evidence"),
    ("en", "yesno", "Has the cyst of the left kidney grown?", "yes", "Cyst of the left kidney", "other_examination"),
    ("en", "yesno", "Is the mass in the pancreas stable?", "no", "mass in the pancreas", "other_examination"),
    (
        "en",
        "open",
        "What does the report say of the spleen?",
        "normal in size",
        "spleen is normal in size",
        "about_report",
    ),
    ("en", "open", "What is described in the pancreas?", "a mass", "mass in the pancreas", "about_report"),
    ("de", "open", "Was ist in der Leber zu sehen?", "eine Zyste", "Zyste der linken Niere", "not_borne_out"),
    (
        "de",
        "open",
        "Wie groß ist die Raumforderung im Pankreas?",
        "2,4 mm",
        "Raumforderung im Pankreas, 2,4 cm",
        "not_borne_out",
    ),
    ("de", "open", "Wo liegt der Stein?", "in der linken Niere", "Stein der rechten Niere", "not_borne_out"),
    ("de", "open", "Was ist in der Gallenblase zu sehen?", "Steine", "Steine in der Gallenblase", "not_borne_out"),
    ("de", "open", "Was ist in der Leber zu sehen?", "eine Metastase", "Metastase in der Leber", "not_borne_out"),
    (
        "de",
        "open",
        "Was ist im Pankreas zu sehen?",
        "eine hyperdense Raumforderung",
        "Hypodense Raumforderung im Pankreas",
        "not_borne_out",
    ),
    ("de", "multiple", "Auf welcher Seite liegt die Zyste?", "rechts", "Zyste der linken Niere", "not_borne_out"),
    ("de", "yesno", "Enthält die Gallenblase Steine?", "ja", "Steine in der Gallenblase", "not_borne_out"),
    ("de", "yesno", "Gibt es eine Raumforderung im Pankreas?", "nein", "Raumforderung im Pankreas", "not_borne_out"),
    ("de", "yesno", "Ist die Milz vergrößert?", "ja", "Milz ist normal groß", "not_borne_out"),
    ("de", "yesno", "Ist die Pfortader thrombosiert?", "ja", "Die Pfortader ist offen", "not_borne_out"),
    ("de", "yesno", "Hat die linke Niere einen Stein?", "ja", "Stein der rechten Niere", "not_borne_out"),
    (
        "de",
        "yesno",
        "Ist die Hydronephrose der rechten Niere ausgeprägt?",
        "ja",
        "Geringe Hydronephrose der rechten Niere",
        "not_borne_out",
    ),
    ("de", "yesno", "Ist die Zyste der linken Niere neu?", "nein", "Zyste der linken Niere", "other_examination"),
    (
        "de",
        "yesno",
        "Hat die Raumforderung im Pankreas zugenommen?",
        "ja",
        "Raumforderung im Pankreas",
        "other_examination",
    ),
    ("de", "open", "Was steht im Befund zur Milz?", "normal groß", "Milz ist normal groß", "about_report"),
    ("de", "open", "Was sagt der Bericht zur Leber?", "V.a. Metastase", "V.a. Metastase in der Leber", "about_report"),
]


def problem(language, kind, question, answer, evidence):
    ids = [SCHEMA.by_name[name].id for name in VISIBLE if name in SCHEMA.by_name]
    image = ImageFacts(
        "i", "CT", "axial", None, dict.fromkeys(ids, 500), {language: ids}, {}, {language: TEXTS[language]}
    )
    choices = CHOICES[language] if kind == "multiple" else ()
    return CHECKS.check_pair(VqaPair(language, "findings", kind, question, choices, answer, "model", evidence), image)


@pytest.mark.parametrize(("language", "kind", "question", "answer", "evidence"), RIGHT)
def test_pair_that_its_evidence_bears_out_passes(language, kind, question, answer, evidence):
    assert problem(language, kind, question, answer, evidence) is None


@pytest.mark.parametrize(("language", "kind", "question", "answer", "evidence", "reason"), WRONG)
def test_pair_that_its_evidence_does_not_bear_out_is_refused(language, kind, question, answer, evidence, reason):
    assert problem(language, kind, question, answer, evidence) == reason
