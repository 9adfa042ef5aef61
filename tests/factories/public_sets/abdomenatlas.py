"""A replica of AbdomenAtlas 3.0 Mini."""

from pathlib import Path

from tests.factories.public_sets.totalsegmentator import write_image

__all__ = ["write_abdomenatlas"]

# 4 has no narrative report; 5 no row; 6 no image; 7 an empty one; 1 is there twice.
TABLE = """BDMAP ID,spacing,sex,age,number of liver lesion instances,structured report,narrative report,fusion structured report,fusion narrative report
BDMAP_00000001,"(0.8, 0.8, 1.0)",M,63.0,1,Structured 1,"Liver: one lesion, 1.2 cm.
Kidneys: normal.",Fusion 1,Fused 1
BDMAP_00000002,"(0.8, 0.8, 1.0)",F,,0,Structured 2,Liver: normal.,,
BDMAP_00000003,"(0.8, 0.8, 1.0)",,,0,Structured 3,Pancreas: normal.,,Fused 3
BDMAP_00000004,"(0.8, 0.8, 1.0)",,,0,Structured 4,,,Fused 4
BDMAP_00000006,"(0.8, 0.8, 1.0)",,,0,Structured 6,Spleen: normal.,,
BDMAP_00000007,"(0.8, 0.8, 1.0)",,,0,Structured 7,Spleen: normal.,,
BDMAP_00000001,"(0.8, 0.8, 1.0)",M,63.0,1,Structured 1,Repeated.,,
"""
LESIONS = ("liver_lesion", "kidney_lesion", "pancreatic_lesion")


def write_abdomenatlas(root: Path, organs: bool = False) -> None:
    """The set below a folder, its images unpacked.

    Args:
        root: of the set.
        organs: whether the masks of case 1 have organs beside the lesions.
    """
    for number in (1, 2, 3, 4, 5):
        write_image(root / "image_only" / f"BDMAP_0000000{number}" / "ct.nii.gz", value=40)
    write_image(root / "extra" / "BDMAP_00000001" / "ct.nii.gz", value=40)
    (root / "image_only" / "BDMAP_00000007").mkdir()
    (root / "image_only" / "BDMAP_00000007" / "ct.nii.gz").touch()
    for number in (1, 2, 6):
        folder = root / "mask_only" / f"BDMAP_0000000{number}" / "segmentations"
        for name in (*LESIONS, *(("liver", "kidney_left") if organs and number == 1 else ())):
            write_image(folder / f"{name}.nii.gz", value=1)
    (root / "AbdomenAtlas3.0MiniWithMeta.csv").write_text(TABLE, encoding="utf-8")
    (root / "TrainTestIDS").mkdir()
    lists = {"IID_train": [1, 2], "IID_test": [3, 6], "OOD_train": [2, 3], "OOD_test": [1, 5]}
    for name, numbers in lists.items():
        ids = "".join(f"BDMAP_0000000{number}\n" for number in numbers)
        (root / "TrainTestIDS" / f"{name}.csv").write_text(f"BDMAP ID\n{ids}")
