"""A replica of Merlin and of Merlin Plus."""

from pathlib import Path

from tests.factories.public_sets.totalsegmentator import write_image
from tests.factories.workbooks import write_workbook

__all__ = ["write_merlin", "write_merlin_masks"]

# 1363e and 1363f are of one patient in two splits; 42 has no report, 45 one without text; 43 is in no longitudinal table, 44 twice;
# 46 has no split; 47 is there twice; 9999999 has no image.
REPORTS = [
    ["study id", "Findings", "Split", "few shot"],
    ["AC421363e", "Liver: 8 mm cyst in segment 4 (3/204). Spleen normal. IMPRESSION: 1. Hepatic cyst.", "train", "1"],
    ["ac421363F", "Liver: normal. IMPRESSION: Normal.", "val", ""],
    [
        "AC4213641",
        "FINDINGS: Liver normal.\nGallbladder without an impression: none.\nImpression\nNo stones.",
        "test",
        "",
    ],
    ["AC4213643.nii.gz", "Liver normal.", "train", ""],
    ["AC4213644", "Liver normal.", "train", ""],
    ["AC4213645", "", "train", ""],
    ["AC4213646", "Liver normal.", "", ""],
    ["AC4213647", "Kidneys normal.", "train", ""],
    ["AC4213641", "Repeated.", "test", ""],
    ["AC9999999", "Aorta normal.", "train", ""],
]
PATIENTS = """Encrypted Accession Number,Patient ID,Exam Completed Date,spacing,Age,Gender,Race,contrast,manufacturer,phase
AC421363e,Merlin_1,2012-01-01,"0.65,0.65,1",66.703,Female,Other,True,SIEMENS,portal_venous
AC421363f,Merlin_1,2013-02-03,"0.65,0.65,1",67.8,Female,Other,True,SIEMENS,portal_venous
AC4213641,Merlin_2,2012-01-01,"0.97,0.97,1.25",49.427,Male,White,False,GE MEDICAL SYSTEMS,
AC4213642,Merlin_3,2012-01-01,"0.97,0.97,1.25",50.0,Male,White,,,
AC4213644,Merlin_4,2012-01-01,"0.97,0.97,1.25",50.0,Male,White,,,
AC4213644,Merlin_5,2012-01-01,"0.97,0.97,1.25",50.0,Male,White,,,
AC4213645,Merlin_6,2012-01-01,"0.97,0.97,1.25",50.0,Male,White,,,
AC4213646,Merlin_7,2012-01-01,"0.97,0.97,1.25",50.0,Male,White,,,
AC4213647,Merlin_8,2012-01-01,"0.97,0.97,1.25",,Unknown,White,,,
"""


def write_merlin(root: Path, plus: Path | None = None) -> None:
    """The set below a folder, and the longitudinal table of Merlin Plus below another one, if it is named."""
    for name in ("1363e", "1363f", "13641", "13642", "13643", "13644", "13645", "13646", "13647"):
        write_image(root / "merlin_data" / f"AC42{name}.nii.gz", value=40)
    write_image(root / "merlin_data" / "AC4213647.nii", value=40)
    write_image(root / "merlin_data" / "phantom.nii.gz", value=40)
    (root / "merlin_data" / "._AC421363e.nii.gz").touch()
    write_workbook(root / "reports_final.xlsx", {"Sheet1": REPORTS})
    if plus is not None:
        plus.mkdir(parents=True, exist_ok=True)
        (plus / "merlin_longitudinal_metadata.csv").write_text(PATIENTS, encoding="utf-8")


def write_merlin_masks(folder: Path, layout: str) -> None:
    """Masks of AC4213641 and of a study that is not used: a "file" of all labels, or "classes" with a folder of files between."""
    for study in ("AC4213641", "AC4213642"):
        if layout == "file":
            write_image(folder / f"{study}.nii.gz", value=5)
        else:
            for name in ("liver", "gall_bladder"):
                write_image(folder / "part1" / study / "segmentations" / f"{name}.nii.gz", value=1)
