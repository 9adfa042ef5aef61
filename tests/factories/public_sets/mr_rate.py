"""A replica of MR-RATE: zipped and unzipped studies, tables of splits, reports and metadata."""

import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np

__all__ = ["write_mr_rate"]

# The batch of a patient is that of its first study: study_0002 lies in batch01. p5 is in two splits; p8 has none.
SPLITS = """batch_id,patient_uid,study_uid,split
batch00,p1,study_0001,train
batch00,p1,study_0002,train
batch00,p3,study_0003,train
batch00,p4,study_0004,val
batch00,p5,study_0005,train
batch01,p5,study_0006,test
batch00,p9,study_0009,test
batch00,p10,study_0010,test
"""
METADATA = """patient_uid,study_uid,series_id,is_center_modality,SeriesNumber,anon_study_date,array_shape,Patient'sAge,Patient'sSex,Manufacturer
p1,study_0001,t1w-raw-axi,True,3,2015-03-02,"[6, 5, 4]",47.0,F,SIEMENS
p1,study_0001,t1w-raw-axi-2,False,9,2015-03-02,"[6, 5, 4]",47.0,F,SIEMENS
p1,study_0001,flair-raw-sag,False,5.0,2015-03-02,"[4, 6, 5]",47.0,F,SIEMENS
p1,study_0001,swi-raw-axi,False,7,2015-03-02,"[6, 5, 4]",47.0,F,SIEMENS
p8,study_0008,t2w-raw-cor,False,,2016-01-01,"[6, 5, 4]",,M,
"""
REPORTS = {
    "batch00": """study_uid,report,clinical_information,technique,findings,impression
study_0001,"All of it.",Headache since [date_1],,"[patient_1] was examined at [hospital_1]. Ventricles are normal.","— No lesion.
— Compared with [DATE_2] by Dr. [radiologist_1], [T2] signal unchanged."
study_0003,x,,,Ventricles normal.,
study_0004,,,MRI of the spine,Disc protrusion L4/5.,
study_0005,,,,Ventricles normal.,
study_0008,,,,Ventricles normal.,
study_0009,,Headache,,,
study_0100,,,,Ventricles normal.,
""",
    "batch01": """study_uid,report,clinical_information,technique,findings,impression
study_0002,Cerebellum normal for [study_team_1].,,,,
study_0002,Repeated.,,,,
study_0006,,,,Ventricles normal.,
study_0007,,,,Ventricles normal.,
""",
}


def _image_bytes(dtype: type) -> bytes:
    # The first axis goes to the left, the second, 5 mm apart, to the head, the third to the front.
    affine = np.array([[-1.0, 0, 0, 40], [0, 0, 1.0, -30], [0, 5.0, 0, 10], [0, 0, 0, 1]])
    return bytes(nib.Nifti1Image(np.arange(120).reshape(6, 5, 4).astype(dtype), affine).to_bytes())


def _members(study: str, series: str) -> dict[str, bytes]:
    """The image and the two masks of a series, by their paths in the archive."""
    image = _image_bytes(np.uint16 if series.startswith("t1w") else np.float32)
    masks = {
        f"{study}/seg/{study}_{series}_{kind}-mask.nii.gz": _image_bytes(np.uint8) for kind in ("brain", "defacing")
    }
    return {f"{study}/img/{study}_{series}.nii.gz": image} | masks


def _write_zip(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_mr_rate(root: Path) -> None:
    """The set below a folder: study_0003 is a cut archive, study_0004 is also unzipped, with derived images."""
    batch00, batch01 = root / "mri" / "batch00", root / "mri" / "batch01"
    series = ("t1w-raw-axi", "t1w-raw-axi-2", "flair-raw-sag", "dwi-raw-axi")
    _write_zip(batch00 / "study_0001.zip", {k: v for name in series for k, v in _members("study_0001", name).items()})
    _write_zip(
        batch00 / "study_0001_coreg.zip",
        {"study_0001/coreg_img/study_0001_coreg_flair-raw-sag.nii.gz": _image_bytes(np.float32)},
    )
    for number in (2, 6, 7):
        _write_zip(batch01 / f"study_000{number}.zip", _members(f"study_000{number}", "mra-raw-obl"))
    for study in ("study_0005", "study_0008", "study_0009", "study_0010"):
        _write_zip(batch00 / f"{study}.zip", _members(study, "t2w-raw-cor"))
    _write_zip(batch00 / "study_0003.zip", _members("study_0003", "t1w-raw-axi"))
    whole = (batch00 / "study_0003.zip").read_bytes()
    (batch00 / "study_0003.zip").write_bytes(whole[: len(whole) // 2])
    spine = _members("study_0004", "t2w-raw-sag")
    _write_zip(batch00 / "study_0004.zip", spine)
    for name, content in spine.items():
        (batch00 / name).parent.mkdir(parents=True, exist_ok=True)
        (batch00 / name).write_bytes(content)
    for kind in ("reports", "metadata"):
        (root / kind).mkdir()
    for batch, text in REPORTS.items():
        (root / "reports" / f"{batch}_reports.csv").write_text(text, encoding="utf-8")
    (root / "metadata" / "batch00_metadata.csv").write_text(METADATA, encoding="utf-8")
    (root / "splits.csv").write_text(SPLITS, encoding="utf-8")
