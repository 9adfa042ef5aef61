import csv
import hashlib
import re

import numpy as np
import pydicom
import pytest

from refrad.demo.bodies import CT_CLASSES, MR_CLASSES, make_body
from refrad.demo.cohort import PLANES_OFTEN, write_cohort
from refrad.demo.rendering import render
from refrad.demo.scanner import PLANES


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(folder, 6, 3)
    return folder


@pytest.fixture(scope="module")
def headers(cohort):
    return [
        pydicom.dcmread(path, stop_before_pixels=True)
        for path in (cohort / "dicom").rglob("*")
        if path.is_file() and pydicom.misc.is_dicom(path)
    ]


def test_the_same_seed_gives_the_same_bytes(cohort, tmp_path):
    write_cohort(tmp_path, 6, 3)
    assert digests(tmp_path) == digests(cohort)


def test_another_seed_gives_other_patients(cohort, tmp_path):
    write_cohort(tmp_path, 2, 4)
    people = [{path.name for path in (folder / "dicom").glob("*/*")} for folder in (cohort, tmp_path)]
    assert people[0] and people[1] and not people[0] & people[1]


def test_there_are_as_many_classes_as_a_segmenter_finds():
    assert len(CT_CLASSES) >= 35 and len(MR_CLASSES) >= 20


def test_headers_look_like_those_of_an_archive(headers):
    assert {one.Modality for one in headers} == {"CT", "MR"}
    assert all(one.PatientName and one.PatientID and one.AccessionNumber and one.StudyDate for one in headers)
    assert {one.Manufacturer for one in headers} == {"RefRad demo scanner"}


def test_series_come_in_several_orientations():
    drawn = {plane for often in PLANES_OFTEN for plane in often}
    assert drawn == set(PLANES) and len(drawn) >= 5
    assert all(abs(sum(often.values()) - 1) < 1e-9 for often in PLANES_OFTEN)


def test_reports_come_in_both_languages_with_their_difficulties(cohort):
    with (cohort / "reports.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    text = " ".join(row["text"] for row in rows)
    assert "Befund:" in text and "Findings:" in text
    assert "IMA" in text or "Bild" in text or "image" in text


def test_references_point_to_images_of_the_delivery(cohort, headers):
    with (cohort / "references.csv").open(encoding="utf-8", newline="") as file:
        tied = {row["instance_uid"] for row in csv.DictReader(file)}
    assert tied and tied <= {one.SOPInstanceUID for one in headers}


def test_bodies_vary_in_size_and_place():
    affine = np.diag([-8.0, -8.0, 8.0, 1.0])
    affine[:3, 3] = [200, 200, 180]
    native = {name: number for number, name in enumerate(CT_CLASSES, 1)}
    livers = []
    for seed in range(6):
        _, labels = render(make_body(seed), affine, (50, 50, 40), "CT", native, seed=0)
        places = np.argwhere(labels == native["liver"])
        livers.append([len(places), *places.mean(0)])
    assert (np.std(livers, axis=0) / [np.mean(livers, axis=0)[0], 1, 1, 1] > [0.05, 0.5, 0.3, 0.5]).all()


def test_left_is_left():
    affine = np.diag([-8.0, -8.0, 8.0, 1.0])
    affine[:3, 3] = [200, 200, 180]
    native = {name: number for number, name in enumerate(CT_CLASSES, 1)}
    _, labels = render(make_body(0), affine, (50, 50, 40), "CT", native, seed=0)
    x = {name: 200 - 8 * np.argwhere(labels == native[name]).mean(0)[0] for name in ("liver", "spleen", "stomach")}
    assert x["liver"] > 0 > x["spleen"] and x["stomach"] < 0  # RAS: x grows towards the right


def test_some_sentences_name_an_image_and_no_anatomy(cohort):
    text = (cohort / "reports.csv").read_text(encoding="utf-8")
    closing = r"(?:freie Flüssigkeit|Lymphknoten|unauffälliger Befund|free fluid|lymph nodes|Otherwise unremarkable) \((?:Se|Serie|series)? ?\d+[/,]"
    assert re.search(closing, text)
