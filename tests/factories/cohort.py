"""A made-up cohort of captioned images: which structures a slice shows follows from where they lie in the body.

Heights, areas and widths are rough figures of an adult. Patients differ in them, in what is scanned, and in what is missing. So structures are
as unequally frequent as in CT and MR, and most pairs of them always have the same one as the larger.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refrad.anatomy.schema import Schema
from refrad.core.types import TASK_OF
from refrad.grounding.vqa_checks import ImageFacts
from refrad.grounding.vqa_findings import Finding

__all__ = ["Picture", "draw_cohort"]

# Class, lowest and highest point in mm above the pelvic floor, largest cross-section in px, width there in mm.
ORGANS = """
spleen 430 540 1800 70|kidney_right 315 435 1100 55|kidney_left 330 450 1100 55|gallbladder 390 460 400 30|liver 380 560 9000 190
stomach 420 540 3000 110|pancreas 400 470 900 120|adrenal_gland_right 435 475 60 14|adrenal_gland_left 440 480 70 16
lung_upper_lobe_left 540 760 6000 90|lung_lower_lobe_left 480 680 5000 95|lung_upper_lobe_right 590 760 6000 90
lung_middle_lobe_right 520 620 2500 80|lung_lower_lobe_right 480 680 5500 95|esophagus 480 760 150 15|trachea 640 790 200 17
thyroid_gland 740 800 500 60|small_bowel 150 420 5000 180|duodenum 360 430 500 60|colon 110 460 3500 250|urinary_bladder 90 160 2500 80
prostate 70 110 900 45|sacrum 130 260 2200 100|heart 520 640 6500 120|aorta 310 700 500 26|pulmonary_vein 590 640 400 60
brachiocephalic_trunk 680 740 80 13|subclavian_artery_right 690 760 120 40|subclavian_artery_left 690 760 120 40
common_carotid_artery_right 700 860 40 10|common_carotid_artery_left 700 860 40 10|brachiocephalic_vein_left 670 740 250 50
brachiocephalic_vein_right 670 740 150 18|superior_vena_cava 620 700 200 20|atrial_appendage_left 610 640 200 25
inferior_vena_cava 300 570 350 25|portal_vein_and_splenic_vein 420 490 400 80|iliac_artery_left 200 330 80 14
iliac_artery_right 200 330 80 14|iliac_vena_left 200 320 110 16|iliac_vena_right 200 320 110 16|humerus_left 640 780 500 40
humerus_right 640 780 500 40|scapula_left 600 770 700 70|scapula_right 600 770 700 70|clavicula_left 710 770 250 60
clavicula_right 710 770 250 60|femur_left 0 100 1200 60|femur_right 0 100 1200 60|hip_left 60 270 1600 80|hip_right 60 270 1600 80
spinal_cord 400 900 90 11|gluteus_maximus_left 40 260 3000 100|gluteus_maximus_right 40 260 3000 100|gluteus_medius_left 120 290 1600 70
gluteus_medius_right 120 290 1600 70|gluteus_minimus_left 130 240 600 50|gluteus_minimus_right 130 240 600 50
autochthon_left 150 850 1500 50|autochthon_right 150 850 1500 50|iliopsoas_left 90 420 900 45|iliopsoas_right 90 420 900 45
brain 930 1060 11000 135|skull 880 1070 2500 150|sternum 560 700 300 35|costal_cartilages 470 640 900 200
"""
SCANS = (
    (470, 800),
    (60, 560),
    (60, 800),
    (300, 560),
    (0, 300),
    (0, 1070),
    (690, 1070),
)  # lowest and highest slice in mm
SPLITS = ("train", "test")
COMMON = (
    "liver",
    "spleen",
    "kidney",
    "lung",
    "heart",
    "aorta",
    "pancreas",
    "gallbladder",
    "bladder",
    "vertebrae",
    "brain",
    "rib",
)


@dataclass(frozen=True)
class Picture:
    """An image of the cohort and its patient."""

    patient: int
    facts: ImageFacts


def draw_cohort(schema: Schema, patients: int, seed: int) -> list[Picture]:
    """The captioned images of patients: about six of each, with captions in both languages."""
    rng = np.random.default_rng(seed)
    table = _organs()
    pictures = []
    for patient in range(patients):
        body = {
            name: (
                bottom + rng.normal(0, 12),
                top + rng.normal(0, 12),
                area * rng.lognormal(0, 0.2),
                width * rng.lognormal(0, 0.15),
            )
            for name, (bottom, top, area, width) in table.items()
            if rng.random() > (0.1 if name == "gallbladder" else 0.03)
        }
        for side in ("left", "right"):
            if rng.random() < 0.2 and f"kidney_{side}" in body:
                bottom, top, *_ = body[f"kidney_{side}"]
                body[f"kidney_cyst_{side}"] = (bottom + 30, top - 40, 250, 22)
        modality = "MR" if rng.random() < 0.15 else "CT"
        plane = str(rng.choice(["axial", "coronal", "sagittal"], p=[0.94, 0.04, 0.02]))
        contrast = [True, True, False, None][int(rng.integers(4))]
        bottom, top = SCANS[int(rng.integers(len(SCANS)))]
        for number in range(6):
            visible = _visible(body, rng.uniform(bottom, top), schema, modality)
            if visible:
                facts = _facts(f"{seed}-{patient}-{number}", patient, modality, plane, contrast, visible, schema, rng)
                pictures.append(Picture(patient, facts))
    return pictures


def _organs() -> dict[str, tuple[float, float, float, float]]:
    table = {}
    for entry in ORGANS.replace("\n", "|").split("|"):
        if entry:
            name, *numbers = entry.split()
            table[name] = tuple(map(float, numbers))
    levels = ["L5", "L4", "L3", "L2", "L1", *(f"T{k}" for k in range(12, 0, -1)), *(f"C{k}" for k in range(7, 0, -1))]
    bottom = 250.0
    for level in levels:
        height = {"L": 36.0, "T": 28.0, "C": 19.0}[level[0]]
        table[f"vertebrae_{level}"] = (bottom, bottom + height + 8, 900, 45)
        bottom += height
    for number in range(1, 13):
        middle = 790 - 28 * number
        for side in ("left", "right"):
            table[f"rib_{side}_{number}"] = (middle - 60, middle + 15, 120, 60)
    return table


def _visible(body, height: float, schema: Schema, modality: str) -> dict[int, tuple[int, float]]:
    """Class to its area in px and width in mm in the slice at a height."""
    task = TASK_OF[modality]
    visible = {}
    for name, (bottom, top, area, width) in body.items():
        structure = schema.by_name[name]
        if bottom < height < top and structure.native.get(task):
            share = np.sqrt(1 - ((2 * height - bottom - top) / (top - bottom)) ** 2)
            visible[structure.id] = (int(area * share) + 5, float(width * share))
    return visible


def _facts(
    name: str,
    patient: int,
    modality: str,
    plane: str,
    contrast: bool | None,
    visible: dict,
    schema: Schema,
    rng: np.random.Generator,
) -> ImageFacts:
    common = [class_id for class_id in visible if any(word in schema.by_id[class_id].name for word in COMMON)]
    choice: Sequence[int] = common or sorted(visible)
    named = [int(choice[i]) for i in rng.permutation(len(choice))[:3]]
    texts = {
        "en": [f"Normal {schema.by_id[c].english}." for c in named],
        "de": [f"{schema.by_id[c].german} o.B." for c in named],
    }
    findings = {}
    if rng.random() < 0.3 and "_" not in schema.by_id[named[0]].name:
        kind, size = str(rng.choice(["cyst", "lesion"])), int(rng.integers(4, 40))
        texts["en"][0] = f"{size} mm {kind} of the {schema.by_id[named[0]].english}."
        texts["de"][0] = f"{size} mm große {'Zyste' if kind == 'cyst' else 'Läsion'}: {schema.by_id[named[0]].german}."
        findings = {language: [Finding(named[0], kind, f"{size} mm")] for language in ("de", "en")}
    return ImageFacts(
        name,
        modality,
        plane,
        contrast,
        {class_id: area for class_id, (area, _) in visible.items()},
        {"de": named, "en": named},
        {class_id: width for class_id, (_, width) in visible.items()},
        texts,
        SPLITS[patient % 2],
        frozenset(named),
        frozenset(),
        findings,
    )
