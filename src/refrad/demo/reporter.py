"""A reporter: describes a synthetic body in German or English, with the habits of real reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from refrad.demo.bodies import Body

__all__ = ["Reference", "Seen", "write_notes", "write_report"]

BOTH = ("_right", "_left")
# Structures to see -> sentences about them, German and English; {ref} is where an image may be named.
NORMAL: Sequence[tuple[tuple[str, ...], Sequence[str], Sequence[str]]] = (
    (("liver",), ("Leber normal groß und homogen{ref}.", "Die Leber ist glatt begrenzt{ref}.", "Keine fokale Leberläsion{ref}."),
     ("The liver is normal in size{ref}.", "No focal liver lesion{ref}.", "Homogeneous liver parenchyma{ref}.")),
    (("spleen",), ("Milz nicht vergrößert{ref}.", "Unauffällige Milz{ref}."), ("The spleen is not enlarged{ref}.", "Normal spleen{ref}.")),
    (("kidney_right", "kidney_left"),
     ("Beide Nieren regelrecht{ref}.", "Nieren bds. ohne Harnstau{ref}.", "Kein Nierenstein{ref}."),
     ("Both kidneys are normal{ref}.", "Kidneys without hydronephrosis{ref}.", "No renal calculi{ref}.")),
    (("kidney_left",), ("Linke Niere 11,{d} cm lang{ref}.", "Niere li. unauffällig{ref}."), ("The left kidney measures 11.{d} cm{ref}.",)),
    (("kidney_right",), ("Niere re. orthotop{ref}.", "Rechte Niere unauffällig{ref}."), ("Normal right kidney{ref}.",)),
    (("pancreas",), ("Pankreas schlank{ref}.", "Pankreasparenchym ohne Auffälligkeiten{ref}."), ("Unremarkable pancreas{ref}.",)),
    (("gallbladder",), ("Gallenblase zartwandig{ref}.", "Keine Konkremente in der Gallenblase{ref}."), ("No gallstones in the gallbladder{ref}.",)),
    (("stomach",), ("Magen regelrecht entfaltet{ref}.",), ("The stomach is well distended{ref}.",)),
    (("adrenal_gland_left", "adrenal_gland_right"), ("Nebennieren beidseits schlank{ref}.",), ("Both adrenal glands are slender{ref}.",)),
    (("aorta",), ("Aorta normkalibrig{ref}.", "Mäßige Aortensklerose{ref}."), ("Normal calibre of the aorta{ref}.",)),
    (("inferior_vena_cava",), ("VCI durchgängig{ref}.", "V. cava inf. unauffällig{ref}."), ("Patent IVC{ref}.",)),
    (("colon",), ("Kolon ohne Wandverdickung{ref}.",), ("No wall thickening of the colon{ref}.",)),
    (("small_bowel",), ("Dünndarm nicht dilatiert{ref}.",), ("Small bowel is not dilated{ref}.",)),
    (("urinary_bladder",), ("Harnblase gut gefüllt{ref}.", "Harnblase glatt begrenzt{ref}."), ("The urinary bladder is well filled{ref}.",)),
    (("prostate",), ("Prostata nicht vergrößert{ref}.",), ("The prostate is not enlarged{ref}.",)),
    (("hip_left",), ("Linkes Hüftbein intakt{ref}.",), ("The left hip bone is intact{ref}.",)),
    (("hip_right",), ("Rechtes Hüftbein intakt{ref}.",), ("The right hip bone is intact{ref}.",)),
    (("lung_lower_lobe_left",), ("Linker Unterlappen belüftet{ref}.",), ("The left lower lobe is aerated{ref}.",)),
    (("lung_lower_lobe_right",), ("Rechter Unterlappen belüftet{ref}.",), ("The right lower lobe is aerated{ref}.",)),
    (("lung_upper_lobe_left",), ("Linker Oberlappen belüftet{ref}.",), ("The left upper lobe is aerated{ref}.",)),
    (("femur_left", "femur_right"), ("Femurköpfe bds. rund{ref}.",), ("Femoral heads are round on both sides{ref}.",)),
    (("gluteus_maximus_left", "gluteus_maximus_right"), ("M. gluteus maximus bds. kräftig{ref}.",), ("Normal gluteus maximus muscles{ref}.",)),
    (("iliopsoas_left", "iliopsoas_right"), ("M. iliopsoas symmetrisch{ref}.",), ("Symmetric iliopsoas muscles{ref}.",)),
    (("sacrum",), ("Os sacrum ohne Fraktur{ref}.",), ("No fracture of the sacrum{ref}.",)),
    (("heart",), ("Herz nicht vergrößert{ref}.", "Kein Perikarderguss, Herz normal groß{ref}."), ("Heart size is normal{ref}.",)),
    (("lung_left", "lung_right"), ("Lungen frei belüftet{ref}.", "Keine Infiltrate in beiden Lungen{ref}."),
     ("The lungs are clear{ref}.", "No consolidation in either lung{ref}.")),
    (("esophagus",), ("Ösophagus unauffällig{ref}.",), ("Normal esophagus{ref}.",)),
    (("trachea",), ("Trachea mittelständig{ref}.",), ("The trachea is midline{ref}.",)),
    (("sternum",), ("Sternum intakt{ref}.",), ("The sternum is intact{ref}.",)),
    (("vertebrae_L4",), ("LWK 4 ohne Höhenminderung{ref}.",), ("No loss of height of L4{ref}.",)),
    (("vertebrae_L2",), ("Hämangiom im 2. Lendenwirbelkörper{ref}.",), ("Haemangioma in L2{ref}.",)),
    (("vertebrae_T12",), ("Deckplatteneinbruch BWK 12{ref}.",), ("Endplate impression of T12{ref}.",)),
    (("spinal_cord",), ("Spinalkanal normal weit{ref}.",), ("The spinal canal is of normal width{ref}.",)),
)  # fmt: skip
LESIONS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("liver", "cyst"): ("{de} cm große Leberzyste{ref}.", "{en} cm cyst of the liver{ref}."),
    ("liver", "metastasis"): (
        "{de} cm große Metastase in der Leber{ref}, größer als in der Voruntersuchung vom {date}.",
        "{en} cm liver metastasis{ref}, larger compared to the prior study of {date}.",
    ),
    ("kidney_left", "cyst"): ("Nierenzyste links, {de} cm{ref}.", "{en} cm cyst of the left kidney{ref}."),
    ("kidney_right", "cyst"): ("Kortikale Zyste der rechten Niere, {de} cm{ref}.", "{en} cm right renal cyst{ref}."),
    ("lung_left", "nodule"): ("Rundherd der linken Lunge, {de} cm{ref}.", "{en} cm nodule in the left lung{ref}."),
    ("lung_right", "nodule"): (
        "{de} cm großer Rundherd in der rechten Lunge{ref}.",
        "{en} cm nodule in the right lung{ref}.",
    ),
    ("spleen", "cyst"): ("{de} cm messende Milzzyste{ref}.", "{en} cm cyst in the spleen{ref}."),
}
# Organs that nearly every report names; the others are named now and then.
DAILY = {
    "liver",
    "spleen",
    "kidney_right",
    "kidney_left",
    "pancreas",
    "stomach",
    "colon",
    "small_bowel",
    "urinary_bladder",
}
DAILY |= {
    "heart",
    "lung_lower_lobe_left",
    "lung_lower_lobe_right",
    "lung_upper_lobe_left",
    "aorta",
    "hip_left",
    "hip_right",
}
ALWAYS_SEEN = 0.88
LEAST_AREA = 40  # px, of a structure that is described
MOST_NOTES = 8
NAMED = 0.7  # share of the closing sentences that name an image
RESECTED = {
    "gallbladder": ("Z.n. Cholezystektomie.", "Status post cholecystectomy."),
    "spleen": ("Milz fehlt bei Z.n. Splenektomie.", "Status post splenectomy."),
    "kidney_left": ("Z.n. Nephrektomie links.", "Status post left nephrectomy."),
    "kidney_right": ("Z.n. Nephrektomie rechts.", "Status post right nephrectomy."),
}
NOTHING = (
    ("Keine freie Flüssigkeit.", "Keine pathologisch vergrößerten Lymphknoten.", "Sonst unauffälliger Befund."),
    ("No free fluid.", "No enlarged lymph nodes.", "Otherwise unremarkable."),
)


@dataclass(frozen=True)
class Seen:
    """One series as the reporter sees it: per class name the visible area of each slice, and the slices' identities."""

    number: int
    areas: Mapping[str, Sequence[int]]
    instance_numbers: Sequence[int]
    uids: Sequence[str]


@dataclass(frozen=True)
class Reference:
    """A sentence of a report, verbatim, and the image it is about."""

    sentence: str
    instance_uid: str


def write_report(
    r: np.random.Generator, body: Body, all_series: Sequence[Seen], language: str, patient: str, doctor: str, day: date
) -> tuple[str, list[Reference]]:
    """The text of a report with its headings, and the sentences tied to images outside of the text."""
    german = language == "de"
    sentences: list[str] = []
    references: list[Reference] = []

    def add(template: str, classes: Sequence[str], often: float) -> None:
        """Name an image in the sentence, tie one to it from outside, or leave it to the reader."""
        image = _choose_image(r, all_series, classes)
        how = r.random()
        ref = f" {_reference(r, image, german)}" if image and how < often and "{ref}" in template else ""
        sentence = template.replace("{ref}", ref).replace("{d}", str(r.integers(0, 10)))
        sentences.append(sentence)
        if image and not ref and how > 0.8:
            series, index = image
            references.append(Reference(sentence, series.uids[index]))

    for lesion in body.lesions:
        organ = [name for series in all_series for name in series.areas if name.startswith(lesion.organ)]
        if organ and _choose_image(r, all_series, organ):
            size = f"{lesion.diameter / 10:.1f}"
            finding = LESIONS[lesion.organ, lesion.kind][0 if german else 1]
            before = day - timedelta(days=365)
            finding = finding.replace("{de}", size.replace(".", ",")).replace("{en}", size)
            finding = finding.replace("{date}", before.strftime("%d.%m.%Y" if german else "%Y-%m-%d"))
            add(finding, organ, 0.6)
    for gone in sorted(body.resected):
        sentences.append(RESECTED[gone][0 if german else 1])
    for number in r.permutation(len(NORMAL)):
        classes, de, en = NORMAL[number]
        visible = [name for name in classes if _largest(all_series, name) > LEAST_AREA]
        ill = any(name.startswith(lesion.organ) for lesion in body.lesions for name in classes)
        often = ALWAYS_SEEN if classes[0] in DAILY else 1 - ALWAYS_SEEN
        if len(visible) == len(classes) and not ill and r.random() < often:
            add(str(r.choice(de if german else en)), visible, 0.45)
    closing = str(r.choice(NOTHING[0 if german else 1]))
    sentences.append(_naming_an_image(np.random.default_rng(day.toordinal()), closing, all_series, german))
    body_text = " ".join(sentences[:14])
    references = [reference for reference in references if reference.sentence in body_text]
    if german:
        text = (
            f"Patient: {patient}, Untersuchung vom {day:%d.%m.%Y}\n\nKlinische Angaben:\nBauchschmerzen, Z.n. Sturz am {day:%d.%m.%Y}.\n\n"
            f"Fragestellung:\nPathologie?\n\nTechnik:\nSpirale, 5 mm Schichtdicke.\n\nBefund:\n{body_text}\n\n"
            f"Beurteilung:\n{sentences[0]}\n\nMit freundlichen Grüßen\nDr. med. {doctor}\n"
        )
    else:
        text = (
            f"Patient: {patient}, examination of {day:%Y-%m-%d}\n\nClinical information:\nAbdominal pain, seen by Dr. {doctor}.\n\n"
            f"Question:\nPathology?\n\nTechnique:\nHelical acquisition, 5 mm.\n\nFindings:\n{body_text}\n\n"
            f"Impression:\n{sentences[0]}\n\nSigned: Dr. {doctor}\n"
        )
    return text, references


def write_notes(r: np.random.Generator, body: Body, areas: Mapping[str, Sequence[int]]) -> str:
    """Short English notes about one volume, a finding in each line; `areas` are those of `Seen`."""
    series = [Seen(1, areas, (), ())]
    findings = []
    for lesion in body.lesions:
        if _largest(series, lesion.organ):
            finding = LESIONS[lesion.organ, lesion.kind][1].split(", larger")[0].removesuffix(".")
            findings.append(finding.replace("{en}", f"{lesion.diameter / 10:.1f}") + ".")
    findings += [RESECTED[gone][1] for gone in sorted(body.resected)]
    for number in r.permutation(len(NORMAL)):
        classes, _, sentences = NORMAL[number]
        is_ill = any(name.startswith(lesion.organ) for lesion in body.lesions for name in classes)
        if not is_ill and all(_largest(series, name) > LEAST_AREA for name in classes):
            findings.append(str(r.choice(sentences)))
    lines = [finding.replace("{ref}", "").replace("{d}", str(r.integers(10))) for finding in findings[:MOST_NOTES]]
    return "\n".join(["Radiologist's notes: ", *lines, ""])


def _largest(all_series: Sequence[Seen], name: str) -> int:
    """Area in px of the class where it is largest; whole lungs count by their lobes."""
    return max(
        (max(areas) for series in all_series for key, areas in series.areas.items() if _is(key, name)), default=0
    )


def _is(key: str, name: str) -> bool:
    side = name.removeprefix("lung_")
    return key == name or (name.startswith("lung_") and key.endswith(f"lobe_{side}"))


def _choose_image(
    r: np.random.Generator, all_series: Sequence[Seen], classes: Sequence[str]
) -> tuple[Seen, int] | None:
    """A series and slice where the classes are large together."""
    best: list[tuple[float, int, int]] = []
    for number, series in enumerate(all_series):
        total = np.zeros(len(series.uids))
        for name in classes:
            for key, areas in series.areas.items():
                if _is(key, name):
                    total += np.array(areas) / max(max(areas), 1)
        index = int(np.argmax(total))
        if total[index] > 0.3 * len(classes):
            best.append((float(total[index]) + r.uniform(0, 0.1), number, index))
    return (all_series[max(best)[1]], max(best)[2]) if best else None


def _naming_an_image(r: np.random.Generator, sentence: str, all_series: Sequence[Seen], german: bool) -> str:
    """A sentence without anatomy, which often names an image all the same: a pair without a box.

    The generator is a separate one, so that the rest of the cohort does not depend on this sentence.
    """
    series = all_series[int(r.integers(len(all_series)))]
    image = series, int(r.integers(len(series.uids)))
    return f"{sentence[:-1]} {_reference(r, image, german)}." if r.random() < NAMED else sentence


def _reference(r: np.random.Generator, chosen: tuple[Seen, int], german: bool) -> str:
    series, index = chosen
    image = series.instance_numbers[index]
    forms = [f"(Se {series.number}, IMA {image})", f"({series.number}/{image})"]
    forms.append(f"(Serie {series.number}, Bild {image})" if german else f"(series {series.number}, image {image})")
    return str(r.choice(forms))
