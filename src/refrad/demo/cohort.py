"""The synthetic cohort: patients, studies, series and reports, written as a PACS would export them."""

import csv
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.uid import generate_uid

from refrad.core.files import atomic, write_json
from refrad.core.progress import log_progress
from refrad.demo.bodies import CT_CLASSES, MR_CLASSES, Body, make_body
from refrad.demo.rendering import render
from refrad.demo.reporter import Reference, Seen, write_report
from refrad.demo.scanner import Series, grid, write_capture, write_series

__all__ = ["DEMO_KEY", "write_cohort", "write_patient"]

DEMO_KEY = b"refrad demo key 0123456789abcdef"  # public on purpose: it protects no data
FAMILY = [
    "Albrecht",
    "Brandner",
    "Clausen",
    "Dietrich",
    "Engelmann",
    "Feldkamp",
    "Grothe",
    "Hartwig",
    "Imhoff",
    "Jansen",
    "Kessler",
    "Lindqvist",
]
FAMILY += [
    "Mertens",
    "Niebuhr",
    "Oldenburg",
    "Petersen",
    "Quandt",
    "Reinhold",
    "Sommerfeld",
    "Trautmann",
    "Ullrich",
    "Vogelsang",
    "Wiechers",
    "Zumstein",
]
GIVEN = {
    "F": [
        "Annegret",
        "Birgit",
        "Claudia",
        "Dorothea",
        "Elfriede",
        "Hannelore",
        "Ingeborg",
        "Katharina",
        "Liselotte",
        "Mechthild",
    ]
}
GIVEN["M"] = [
    "Albrecht",
    "Bernhard",
    "Detlef",
    "Eberhard",
    "Friedhelm",
    "Gottfried",
    "Hartmut",
    "Joachim",
    "Karlheinz",
    "Wolfgang",
]
DOCTORS = ["Achterberg", "Bodenstein", "Kaltenbach", "Morgenroth", "Steinhauer"]
REGIONS = {"chest": (310, 580), "abdomen": (190, 420), "pelvis": (-30, 220), "trunk": (150, 470)}
REGIONS_OFTEN = (0.25, 0.35, 0.1, 0.3)
# Of the first series of a study, and of a second one.
PLANES_OFTEN = (
    {"axial": 0.94, "prone": 0.03, "oblique": 0.03},
    {"axial": 0.8, "coronal": 0.1, "sagittal": 0.1},
)
NATIVE = {"CT": CT_CLASSES, "MR": MR_CLASSES}

logger = logging.getLogger(__name__)


def write_cohort(out: Path, patients: int, seed: int) -> None:
    """Write `patients` patients under `out`, the same bytes for the same seed; reports.csv is written last."""
    (out / "reports.csv").unlink(missing_ok=True)
    reports: list[dict[str, str]] = []
    references: list[dict[str, str]] = []
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        results = pool.map(write_patient, [out] * patients, range(patients), [seed] * patients)
        for rows, ties in log_progress(results, logger, "patients", patients, every=5):
            reports += rows
            references += ties
    # A file that is no DICOM, as archives hold them.
    (out / "dicom" / "README").write_text("made-up patients\n", encoding="utf-8")
    _write_csv(out / "references.csv", ["report_id", "sentence", "instance_uid"], references)
    columns = ["report_id", "patient_id", "accession_number", "study_uid", "language", "text"]
    _write_csv(out / "reports.csv", columns, reports)
    write_json(out / "cohort.json", {"patients": patients, "seed": seed})
    logger.info("%d patients, %d reports", patients, len(reports))


def write_patient(out: Path, number: int, seed: int) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Write all series of one patient; return the rows for reports.csv and references.csv."""
    r = np.random.default_rng([seed, number, 3])
    body = make_body(seed * 10_000 + number)
    born = date(1935, 1, 1) + timedelta(days=int(r.integers(0, 60 * 365)))
    family_name, given_name = str(r.choice(FAMILY)), str(r.choice(GIVEN[body.sex]))
    patient_id = f"{r.integers(10**7, 10**8)}"
    reports, ties = [], []
    for study in range(1 if r.random() < 0.8 else 2):
        day = date(2014, 1, 1) + timedelta(days=int(r.integers(0, 3000)))
        doctor = str(r.choice(DOCTORS))
        accession = f"A{r.integers(10**8, 10**9)}"
        uid = generate_uid(entropy_srcs=["refrad demo", str(seed), str(number), str(study)])
        headers = {
            "PatientName": f"{family_name}^{given_name}",
            "PatientID": patient_id,
            "PatientBirthDate": born.strftime("%Y%m%d"),
            "PatientSex": body.sex,
            "PatientAge": f"{(day - born).days // 365:03d}Y",
            "PatientAddress": f"Lindenallee {r.integers(1, 99)}, 12345 Musterhausen",
            "StudyInstanceUID": uid,
            "StudyDate": day.strftime("%Y%m%d"),
            "StudyTime": "101500",
            "AccessionNumber": accession,
            "ReferringPhysicianName": f"{r.choice(DOCTORS)}^Ruth",
            "PerformingPhysicianName": f"{doctor}^Jan",
            "InstitutionName": "Klinikum Musterhausen",
            "StationName": "SCANNER7",
        }
        folder = out / "dicom" / f"{patient_id[:2]}" / patient_id / f"study{study}"
        series_seen = _scan_study(r, body, number, study, headers, uid, folder, out / "truth")
        language = "de" if r.random() < 0.55 else "en"
        report_id = f"R{number:04d}{study}"
        text, references = write_report(r, body, series_seen, language, f"{given_name} {family_name}", doctor, day)
        reports.append(
            {
                "report_id": report_id,
                "patient_id": patient_id,
                "accession_number": accession,
                "study_uid": uid,
                "language": language if r.random() < 0.8 else "",
                "text": text,
            }
        )
        ties += [
            {"report_id": report_id, "sentence": reference.sentence, "instance_uid": reference.instance_uid}
            for reference in _unique(references)
        ]
    return reports, ties


def _unique(references: list[Reference]) -> list[Reference]:
    return list({reference.sentence: reference for reference in references}.values())


def _scan_study(
    r: np.random.Generator,
    body: Body,
    number: int,
    study: int,
    headers: Mapping[str, str],
    uid: str,
    folder: Path,
    truth: Path,
) -> list[Seen]:
    """Write one or two series of a study, and for some patients further files of an archive; return the series."""
    modality = "CT" if r.random() < 0.67 else "MR"
    series_seen = []
    for position in range(1 if r.random() < 0.6 else 2):
        planes = PLANES_OFTEN[position]
        plane = str(r.choice(list(planes), p=list(planes.values())))
        low, high = REGIONS[str(r.choice(list(REGIONS), p=REGIONS_OFTEN))]
        start, end = low + r.uniform(-15, 15), high + r.uniform(-15, 15)
        thickness = float(r.choice([5.0, 6.0, 7.0, 8.0]))
        fov = float(np.round(r.uniform(365, 425), 1))
        along = end - start if plane in ("axial", "prone", "oblique") else 210.0
        shape = (128, 128, int(np.clip(along / thickness, 20, 46)))
        centre = body.to_world((0, 0, (start + end) / 2)) + np.array([r.uniform(-14, 14), r.uniform(-12, 12), 0])
        affine = grid(plane, centre, fov, thickness, shape)
        native = {name: value for value, name in enumerate(NATIVE[modality], 1)}
        image, labels = render(body, affine, shape, modality, native, seed=10 * study + position)
        series = Series(
            modality=modality,
            number=int(2 + 3 * position + r.integers(0, 2)),
            uid=generate_uid(entropy_srcs=[uid, str(position)]),
            headers={**headers, "SeriesDescription": f"{plane} {modality}"},
            position={"prone": "HFP", "axial": "FFS" if r.random() < 0.2 else "HFS"}.get(plane, "HFS"),
            syntax=str(r.choice(["explicit", "explicit", "implicit", "rle"])),
            descending=bool(r.random() < 0.5),
        )
        suffix = str(r.choice(["", ".dcm", ".IMA"]))
        names = [f"{name:06X}{suffix}" for name in r.choice(16**6, shape[2], replace=False)]
        paths = [folder / f"s{series.number}" / name for name in names]
        uids = write_series(np.round(image).astype(np.int16), affine, series, paths)
        order = list(range(shape[2], 0, -1)) if series.descending else list(range(1, shape[2] + 1))
        areas = {
            name: (labels == value).sum((0, 1)).tolist() for name, value in native.items() if (labels == value).any()
        }
        series_seen.append(Seen(series.number, areas, order, uids))
        stem = truth / f"{number:04d}-{study}-{position}"
        truth.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(labels, affine), f"{stem}.nii")
        write_json(Path(f"{stem}.json"), {"series_uid": series.uid, "classes": list(NATIVE[modality])})
    if number % 4 == 0:
        _extras(body, headers, uid, folder, modality, missing_slice=number % 8 == 0)
    return series_seen


def _extras(body: Body, headers: Mapping[str, str], uid: str, folder: Path, modality: str, missing_slice: bool) -> None:
    """A scout, a dose report, and a series that lost a slice on its way into the archive."""
    shape = (128, 128, 12)
    affine = grid("axial", body.to_world((0, 0, 330)), 400.0, 8.0, shape)
    native = {name: value for value, name in enumerate(NATIVE[modality], 1)}
    volume = np.round(render(body, affine, shape, modality, native, seed=99)[0]).astype(np.int16)
    scout = Series(modality, 1, generate_uid(entropy_srcs=[uid, "scout"]), headers, localizer=True)
    write_series(volume[:, :, :1], affine, scout, [folder / "s1" / "SCOUT"])
    write_capture(folder / "dose", headers, generate_uid(entropy_srcs=[uid, "dose"]))
    if missing_slice:
        broken = Series(modality, 90, generate_uid(entropy_srcs=[uid, "broken"]), headers)
        paths = [folder / "s90" / f"{k:03d}" for k in range(shape[2])]
        write_series(volume, affine, broken, paths)
        paths[5].unlink()


def _write_csv(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
