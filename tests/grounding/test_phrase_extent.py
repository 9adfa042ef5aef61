"""Phrases that name a part of an organ or a finding in it, and phrases that name the organ itself."""

from pathlib import Path

import pytest

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.grounding.phrase_extent import FINDINGS, PARTS, REGIONS, finer_classes
from refrad.language.mention_finder import find_mentions

FOLDER = Path(__file__).parents[2] / "workflow" / "anatomy"
SCHEMA = load_schema(FOLDER / "classes.yaml")
LEXICON = load_lexicon(FOLDER / "lexicon.yaml", SCHEMA)

FINER = {
    "de": """
        Segment VII; Lebersegment VII; Leberlappen; Leberkuppe; Leberkapsel; Leberrand; Leberoberfläche;
        Leberkontur; Leberpforte; Leberhilus; Lobus caudatus; Lobus quadratus; Leberrundherd; Leberherd; Leberherde;
        Leberläsion; Lebermetastasen; Leberhämangiom; Leberzyste; Leberzysten; Leberabszess; Leberkarzinom;
        Lebertumor; HCC; Leberadenom; Leberverkalkung; Milzhilus; Milzoberpol; Milzunterpol; Milzinfarkt; Milzzyste;
        Milzruptur; Milzkapsel; Milzläsion; Gallenblasenwand; Gallenblasenhals; Gallenblasenfundus; Gallenstein;
        Gallensteine; Gallenblasenstein; Gallenblasenkonkrement; Gallenblasenpolyp; Cholezystolithiasis; Magenwand;
        Magenantrum; Antrum; Magenfundus; Magenkorpus; Magenausgang Pylorus; Magenkarzinom; Magenulkus; große
        Kurvatur; Pankreaskopf; Pankreasschwanz; Pankreaskorpus; Pankreasgang; Pankreaszyste; Pankreastumor;
        Pankreaspseudozyste; Nierenoberpol rechts; Nierenunterpol links; Nierenbecken; Nierenkelch; Nierenrinde;
        Nierenmark; Nierensinus; Nierenstein links; Nierenkonkrement; Nephrolithiasis; Nierentumor;
        Nierenzellkarzinom; Nierenangiomyolipom; Nierenhilus; Niereninfarkt; Nebennierenadenom; Nebennierenknoten;
        Nebennierenschenkel; Nebennierenmetastase; Colon ascendens; Colon descendens; Sigma; Sigmadivertikel; Zökum;
        Appendix; Rektum; Rektumwand; Kolonflexur; Kolonkarzinom; Blinddarm; Dünndarmwand; Duodenaldivertikel;
        Bulbus duodeni; Harnblasenwand; Blasentumor; Blasenstein; Blasendivertikel; Blasendach; Prostatakarzinom;
        Prostataadenom; Schilddrüsenknoten; Schilddrüsenlappen; Schilddrüsenisthmus; Schilddrüsenzyste;
        Trachealbifurkation; Lungenrundherd; Lungenspitze; Lungenbasis; Lungenmetastasen; Lungenkarzinom;
        Oberlappensegment; Unterlappenatelektase; Oberlappenkarzinom; Lingula; Lungenembolie; Lungenabszess;
        Herzvorhof; linker Ventrikel; Perikarderguss; Mitralklappe; Aortenklappe; Herzspitze; Herzkammer;
        Aortenbogen; Aortenwurzel; Bauchaorta; Aorta ascendens; Aorta abdominalis; Bauchaortenaneurysma;
        Aortenaneurysma; Aortendissektion; Aortenplaque; Pfortader; Milzvene; Pfortaderthrombose; Kleinhirn;
        Hirnstamm; Stirnlappen; Thalamus; Stammganglien; Hirnmetastasen; Hirninfarkt; Hirntumor; Schädelbasis;
        Kalotte; Felsenbein; Deckplatte; Grundplatte; Dornfortsatz; Querfortsatz; HWS; LWS; Bandscheibenvorfall;
        Bandscheibenprotrusion; Femurkopf; Schenkelhals; Hüftkopf; Acetabulum; Darmbein; Sitzbein; Beckenkamm;
        Oberarmkopf; Humeruskopf; Humerusschaft; Glenoid; Acromion; Manubrium; Sternumfraktur; Claviculafraktur;
        Sacrumfraktur; Psoas; Ösophaguskarzinom; Ösophagusdivertikel; Konus; Colon asc; Colon sigm; Dünndarmschlingen; Herzhöhlen;
        Wirbelfraktur; Aorta thoracica; Linksventrikuläre Hypertrophie; Nebenmilz; Transplantatniere; terminales Ileum;
        Jejunum; Hüftgelenk rechts; Gallenblasenwandverdickung; Gallenblasenwandödem; Lendenwirbelsäule; Gesichtsschädel;
        Hydronephrose; Tracheostoma; V. cava inferior Filter; die 3 Wirbelkörper""",
    "en": """
        segment VII; segment 6; hepatic dome; liver capsule; liver edge; liver margin; liver lesion; liver cyst;
        liver mass; liver metastases; hepatic segment 4; hepatic lesion; right hepatic lobe; caudate lobe; hepatic
        hemangioma; splenic hilum; splenic lesion; splenic cyst; spleen tip; gallbladder wall; gallbladder neck;
        gallbladder fundus; gallstones; gallbladder polyp; stomach wall; gastric antrum; gastric fundus; gastric
        ulcer; lesser curvature; pancreatic head; pancreatic tail; pancreatic duct; pancreatic mass; pancreas head;
        renal pelvis; renal cortex; renal calculus; renal mass; kidney stone; kidney stones; renal sinus; calyx;
        renal upper pole; adrenal adenoma; adrenal nodule; adrenal limb; ascending colon; descending colon; sigmoid
        colon; cecum; appendix; rectum; colon cancer; bladder wall; bladder stone; bladder tumor; bladder mass;
        prostate cancer; prostate nodule; thyroid nodule; thyroid lobe; thyroid isthmus; carina; lung nodule; lung
        apex; lung bases; lung mass; pulmonary nodule; right upper lobe nodule; upper lobe mass; lingula; left
        ventricle; right atrium; aortic valve; mitral valve; pericardial effusion; aortic arch; aortic root;
        ascending aorta; descending aorta; abdominal aorta; abdominal aortic aneurysm; aortic dissection; portal
        vein; splenic vein; cerebellum; brainstem; frontal lobe; thalamus; skull base; endplate; spinous process;
        transverse process; facet; cervical spine; lumbar spine; disc herniation; disc protrusion; femoral head;
        femoral neck; femoral shaft; acetabulum; iliac crest; ischium; humeral head; glenoid; acromion; manubrium;
        sternal fracture; clavicle fracture; psoas; duodenal bulb; duodenal diverticulum; esophageal tumor; distal
        esophagus; conus; segments 5/6; segments V and VI; transverse colon; jejunum; terminal ileum; hip joint;
        accessory spleen; splenule; transplant kidney; intrahepatic IVC; suprarenal aorta; IVC filter; sternal notch;
        hydronephrosis; tracheostomy; lung lobes""",
}
EXACT = {
    "de": """
        Leber; Leberparenchym; Lebervergrößerung; Hepar; Milz; Milz normal groß; Nieren; Nieren beidseits; linke
        Niere; rechte Niere; Nebennieren beidseits; Nebenniere links; Gallenblase; Gallenblase steinfrei; Magen;
        Pankreas; Bauchspeicheldrüse; Kolon; Dünndarm; Duodenum; Harnblase; Prostata; Schilddrüse; Trachea;
        Luftröhre; Lunge; Lungen; beide Lungen; rechter Oberlappen; linker Unterlappen; Mittellappen; Oberlappen;
        Herz; Herzgröße; Aorta; V. cava inferior; VCI; Gehirn; Schädel; Wirbelkörper; LWK 4; BWK 12; HWK 3;
        Bandscheibe; Sternum; Femur; Humerus; 5. Rippe links; Hüftbein; Kreuzbein; Rückenmark; Medulla spinalis;
        Linkes Vorhofohr; Herzohr; M. gluteus maximus; Iliopsoas; Rippenknorpel; Ösophagus; Speiseröhre;
        Schulterblatt; Schlüsselbein; Unterlappen beidseits; 5. und 6. Rippe links; Rippen; Wirbelsäule; Wanderniere;
        Kardiomegalie; Aorta; Nebennieren schlank""",
    "en": """
        liver; liver parenchyma; spleen; both kidneys; left kidney; kidneys; adrenal glands; both adrenal glands;
        gallbladder; stomach; pancreas; colon; small bowel; duodenum; urinary bladder; bladder; prostate gland;
        thyroid gland; trachea; lung; lungs; right upper lobe; left lower lobe; middle lobe; heart; aorta; inferior
        vena cava; IVC; brain; skull; vertebral body; L4; T12; disc; sternum; femur; humerus; left fifth rib; hip
        bone; sacrum; spinal cord; left atrial appendage; gluteus maximus; iliopsoas; costal cartilage; esophagus;
        shoulder blade; collarbone; lower lobes; upper lobes; suprarenal gland; ribs; cardiomegaly; ribs 4-6 on the left;
        Gallbladder contains stones; The spleen demonstrates calcifications; Both kidneys contain calculi;
        Liver parenchyma homogeneous""",
}


def phrases(table):
    return [(language, " ".join(phrase.split())) for language, text in table.items() for phrase in text.split(";")]


def named_and_finer(phrase, language):
    mentions = find_mentions(phrase, language, LEXICON)
    named = [{SCHEMA.by_name[name].id for name in mention.classes} for mention in mentions]
    finer = [
        finer_classes(phrase, mention.start, mention.end, language, ids, SCHEMA)
        for mention, ids in zip(mentions, named, strict=True)
    ]
    return named, finer


@pytest.mark.parametrize(("language", "phrase"), phrases(FINER))
def test_parts_and_findings_are_finer_than_the_organ(language, phrase):
    named, finer = named_and_finer(phrase, language)
    assert named and all(ids == parts for ids, parts in zip(named, finer, strict=True))


@pytest.mark.parametrize(("language", "phrase"), phrases(EXACT))
def test_names_of_organs_are_not_finer_than_them(language, phrase):
    named, finer = named_and_finer(phrase, language)
    assert named and not any(finer)


@pytest.mark.parametrize(
    ("language", "phrase", "exact"),
    [
        ("de", "Nierenzyste links", {"kidney_cyst_left"}),
        ("en", "Renal cyst on the left", {"kidney_cyst_left"}),
        ("de", "Zyste der linken Niere", {"kidney_cyst_left", "kidney_left"}),
        ("en", "left lower lobe nodule in the left lung", {"lung_left"}),
        ("de", "Nierenzysten bds.", {"kidney_cyst_left", "kidney_cyst_right"}),
        ("en", "Kidneys have cysts", {"kidney_left", "kidney_right", "kidney_cyst_left", "kidney_cyst_right"}),
        ("de", "L4/5", {"vertebrae_L4", "vertebrae_L5"}),
        ("en", "Head of the pancreas", {"pancreas"}),
        ("en", "The liver is normal, cyst of the spleen", {"liver", "spleen"}),
        ("de", "Leber, Zyste links", {"liver"}),
    ],
)
def test_extent_is_that_of_the_span_and_of_each_class(language, phrase, exact):
    named, finer = named_and_finer(phrase, language)
    same = {SCHEMA.by_id[id].name for ids, parts in zip(named, finer, strict=True) for id in ids - parts}
    assert exact <= same


def test_words_for_parts_stand_once_and_are_found():
    words = [*PARTS, *FINDINGS, *REGIONS]
    assert len(words) == len(set(words))
    for word in words:
        text = word.replace("*", "").replace("_", " ")
        assert finer_classes(text, 0, len(text), "de", [SCHEMA.by_name["stomach"].id], SCHEMA), word


@pytest.mark.parametrize(
    ("language", "phrase", "start", "target", "coarser"),
    [
        ("en", "vertebral body L3", 0, "vertebrae", True),
        ("en", "vertebral body L3", 0, "vertebrae_L3", False),
        ("de", "LWS", 0, "vertebrae_L3", False),
        ("de", "Deckplatte LWK 3", 0, "vertebrae_L3", True),
        ("en", "T12 vertebral body", 4, "vertebrae", True),
        ("en", "T12 vertebral body", 4, "vertebrae_T12", False),
        ("en", "L4-L5 disc", 6, "intervertebral_discs", True),
        ("de", "LWK 4/5 Bandscheibe", 8, "intervertebral_discs", True),
        ("en", "lung lobes", 0, "lung_upper_lobe_left", False),
        ("en", "lung bases", 0, "lung_lower_lobe_left", True),
    ],
)
def test_extent_depends_on_the_class_that_is_boxed(language, phrase, start, target, coarser):
    (mention,) = [mention for mention in find_mentions(phrase, language, LEXICON) if mention.start == start]
    boxed = SCHEMA.by_name[target].id
    assert bool(finer_classes(phrase, start, mention.end, language, [boxed], SCHEMA)) is coarser
