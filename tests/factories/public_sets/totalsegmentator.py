"""A replica of the TotalSegmentator set of CT or MR, with RadGPT's table of notes."""

from pathlib import Path

import nibabel as nib
import numpy as np

__all__ = ["NOTES", "write_image", "write_totalsegmentator"]

NOTES = "AbdomenAtlasRadiologistsNotes.csv"
META = """image_id;age;gender;institute;study_type;split;manufacturer;scanner_model;kvp;pathology;pathology_location
s0011;63;m;A;ct thorax-abdomen-pelvis;train;SIEMENS;SOMATOM;120;tumor;abdomen
s0260;;f;B;ct abdomen-pelvis;val;;;;no_pathology;
s0400;71.0;f;A;ct abdomen-pelvis;test;GE;;;;
s0500;50;m;A;ct thorax;train;;;;;
s0501;50;m;A;ct thorax;train;;;;;
s0502;50;m;A;ct thorax;test;;;;;
s0999;50;m;A;ct thorax;train;;;;;
"""
# Columns and first lines are those of the real table. Notes of s0260 twice, one of them repeated; of no image of the set; without a
# text; of an empty image; of one without a split; and of an image that is not there.
ROWS = """TotalSegmentator_id,Notes,BDMAP ID
s0011,"Radiologist's notes: \nHypodense lesion of the liver, 12 mm.
",BDMAP_00000001
s0260,Cyst of the left kidney.,BDMAP_00000002
s0260,Cyst of the left kidney.,BDMAP_00000002
s0260,"Spleen normal.
Pancreas normal.",BDMAP_00000002
400,Liver normal.,BDMAP_00000003
,Liver with several metastases.,BDMAP_00000004
s0500,"Radiologist's notes: \n",BDMAP_00000005
s0502,Spleen normal.,BDMAP_00000006
s0503,Aorta normal.,BDMAP_00000007
s0777,Aorta normal.,
"""


def write_image(path: Path, value: int = 0) -> None:
    """A CT or mask of 6 x 5 x 4 voxels of one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.full((6, 5, 4), value, np.int16), np.diag([1.5, 1.5, 1.5, 1.0])), path)


def write_totalsegmentator(root: Path, image: str = "ct.nii.gz", rows: str = ROWS) -> None:
    """The set below a folder: cases with and without masks, note, row of meta.csv, file, and content of the file.

    Args:
        root: of the set.
        image: name of the images; those of MR are called mri.nii.gz.
        rows: of the table of notes, which lies in generate_reports as in the repository of RadGPT.
    """
    for case in ("s0011", "s0260", "s0400", "s0500", "s0503"):
        write_image(root / case / image, value=40)
    for case in ("s0011", "s0260", "s0500", "s0501"):
        for name in ("liver", "kidney_left", "spleen"):
            write_image(root / case / "segmentations" / f"{name}.nii.gz", value=1)
    (root / "s0400" / "segmentations").mkdir()
    (root / "s0502").mkdir()
    (root / "s0502" / image).touch()
    (root / "meta.csv").write_text(META, encoding="utf-8-sig")
    (root / "RadGPT" / "generate_reports").mkdir(parents=True)
    (root / "RadGPT" / "generate_reports" / NOTES).write_text(rows, encoding="utf-8")
