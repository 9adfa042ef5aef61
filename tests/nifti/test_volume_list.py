import os
import unicodedata
import zipfile

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.config import VolumeFiles
from refrad.nifti.volume_entry import VolumeEntry
from refrad.nifti.volume_list import read_entries, write_entries

PATTERN = r"(?P<patient>[^/]+)/(?P<study>[^/]+)/(?P<series>[^/]+)\.nii(\.gz)?"

words = st.text("bcÄé 0123_-.", min_size=1, max_size=8).map(str.strip).filter(lambda word: word.strip("."))
entries_of_volumes = st.builds(
    VolumeEntry,
    path=words.map(lambda word: f"volumes/{word}.nii.gz"),
    patient=words,
    study=words,
    series=words,
    modality=st.sampled_from(["CT", "MR"]),
    split=st.sampled_from(["", "train", "validation", "test"]),
    series_number=st.none() | st.integers(0, 2**31 - 1),
    numbering=st.sampled_from(["", "head", "feet"]),
    study_date=st.sampled_from(["", "20190131"]),
    sex=st.sampled_from(["", "M", "F", "O"]),
    age=st.sampled_from(["", "063Y", "018M"]),
    contrast=st.sampled_from(["", "yes", "no"]),
    accession_number=st.just("") | words,
    frame_of_reference=st.just("") | words,
    body_part=st.just("") | words,
    manufacturer=st.just("") | words,
    slope=st.just(1.0),
    intercept=st.sampled_from([0.0, -8192.0]),
    problem=st.just(""),
    affine=st.sampled_from(["", "-0.7 0 0 180 0 -0.7 0 170.5 0 0 1.5 -400"]),
)


def read(folder, **options):
    return sorted(read_entries(VolumeFiles(folder=str(folder), **options)))


def problems(entries):
    return {entry.path: entry.problem for entry in entries}


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@given(entries=st.lists(entries_of_volumes, min_size=1, max_size=5, unique_by=lambda entry: entry.path))
def test_table_of_volumes_round_trips(tmp_path_factory, ending, entries):
    table = tmp_path_factory.mktemp("volumes") / f"volumes.{ending}"
    write_entries(table, entries)
    assert read(table.parent, table=str(table)) == sorted(entries)


def test_table_of_a_spreadsheet_is_read(tmp_path):
    table = tmp_path / "meta.csv"
    text = (
        "Path;Patient;Study;Series;Modality;Age;Sex;Study_Date;Comment;Accession_Number\n"
        f"{tmp_path}/s1/ct.nii.gz;001;1.0;a;ct;63;male;2019-01-31;Übersicht;1.23457E+12\n"
        "s2\\ct.nii.gz;002;2;a;CT;abc;?;31.01.2019;;\n"
    )
    table.write_bytes(text.encode("utf-8-sig"))
    first, second = read(tmp_path, table=str(table))
    # The second row's age, sex and date are no such values, which is no reason to lose the volume.
    assert first == VolumeEntry("s1/ct.nii.gz", "001", "1.0", "a", "CT", study_date="20190131", sex="M", age="063Y")
    assert second == VolumeEntry("s2/ct.nii.gz", "002", "2", "a", "CT")


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("path", "../other/ct.nii.gz", "outside_folder"),
        ("path", "/data/ct.nii.gz", "outside_folder"),
        ("path", "C:\\data\\ct.nii.gz", "outside_folder"),
        ("path", "", "no_key"),
        ("patient", " ", "no_key"),
        (
            "patient",
            "1.23457E+12",
            "wrong_entry",
        ),  # Excel writes this for each patient from 1234565000000 to 1234575000000
        ("study", "1,2E+10", "wrong_entry"),
        ("modality", "PT", "not_ct_or_mr"),
        ("modality", "", "no_modality"),
        ("split", "tes", "wrong_entry"),
        ("series_number", "2.5", "wrong_entry"),
        ("numbering", "top", "wrong_entry"),
        ("affine", "1 0 0 0", "wrong_entry"),
        ("affine", "1 0 0 0 0 1 0 0 0 0 nan 0", "wrong_entry"),
        ("slope", "1", "wrong_entry"),
    ],
)
def test_wrong_row_is_delivered_with_its_reason(tmp_path, caplog, column, value, problem):
    row = {"path": "x/ct.nii.gz", "patient": "P-4711", "study": "1", "series": "1", "modality": "CT"}
    table = tmp_path / "volumes.csv"
    frame = pl.DataFrame([row | {"path": "good.nii.gz"}, row | {column: value}], strict=False)
    frame.write_csv(table)
    good, bad = sorted(read_entries(VolumeFiles(folder=str(tmp_path), table=str(table))), key=lambda e: bool(e.problem))
    assert (good.problem, bad.problem) == ("", problem)
    assert "4711" not in caplog.text
    if problem != "no_modality":
        assert "line 3" in caplog.text


def test_file_of_two_rows_is_quarantined_once(tmp_path):
    table = tmp_path / "volumes.csv"
    table.write_text("path,patient,study,series,modality\na.nii,1,1,1,CT\nb.nii,1,1,2,CT\n./a.nii,2,1,1,CT\n")
    assert [(entry.path, entry.problem) for entry in read(tmp_path, table=str(table))] == [
        ("a.nii", "listed_twice"),
        ("b.nii", ""),
    ]


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("VolumeName,patient,study,series", r"no column path; is it the column volumename\?"),
        ("path,Patient ID,study,series", r"no column patient; is it the column patient id\?"),
        ("path,patient,studi,series", r"no column study; is it the column studi\?"),
        ("path,patient,study,text", r"no column series: a table of volumes needs"),
    ],
)
def test_missing_column_is_named_with_the_column_that_it_may_be(tmp_path, header, hint):
    table = tmp_path / "volumes.csv"
    table.write_text(f"{header}\na,b,c,d\n")
    with pytest.raises(ValueError, match=hint):
        read(tmp_path, table=str(table))


def test_table_without_a_header_is_refused_without_its_cells(tmp_path):
    """The first row is taken for the header, so that its cells are no advice: a key of a patient is close to "path"."""
    table = tmp_path / "volumes.csv"
    table.write_text("pat01/ct.nii.gz,pat01,studi,serie\npat02/ct.nii.gz,pat02,studi,serie\n")
    with pytest.raises(ValueError, match="has no column path: a table of volumes needs") as error:
        read(tmp_path, table=str(table))
    assert "pat01" not in str(error.value)


def test_workbook_is_refused_with_the_remedy(tmp_path):
    table = tmp_path / "volumes.xlsx"
    table.write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"volumes\.xlsx: is a workbook: save the sheet as CSV"):
        read(tmp_path, table=str(table))


def test_misspelt_optional_column_is_reported(tmp_path, caplog):
    table = tmp_path / "volumes.csv"
    table.write_text("path,patient,study,series,splits\na.nii,1,1,1,test\n")
    read(tmp_path, table=str(table), modality="MR")
    assert "the column splits is not read; there is one called split" in caplog.text


def test_pattern_gives_keys_and_delivers_what_it_does_not_match(tmp_path):
    for name in ("P1/S1/t1.nii.gz", "P1/S1/t2.nii", "P1/t1.nii.gz", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with zipfile.ZipFile(tmp_path / "P2", "w") as archive:  # no name of an archive: not read
        archive.writestr("S1/t1.nii.gz", b"")
    assert read(tmp_path, pattern=PATTERN, modality="MR") == [
        VolumeEntry("P1/S1/t1.nii.gz", "P1", "S1", "t1", "MR"),
        VolumeEntry("P1/S1/t2.nii", "P1", "S1", "t2", "MR"),
        VolumeEntry("P1/t1.nii.gz", "", "", "", problem="not_named"),
    ]


def test_zip_file_is_a_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "S1.zip", "w") as archive:
        archive.writestr("S1/img/t1.nii.gz", b"")
        archive.writestr("S1/readme.txt", b"")
    (tmp_path / "broken.zip").write_bytes(b"PK")
    pattern = r"(?P<study>[^/]+)\.zip/(?P<patient>[^/]+)/img/(?P<series>.+)\.nii\.gz"
    assert read(tmp_path, pattern=pattern, modality="MR") == [
        VolumeEntry("S1.zip/S1/img/t1.nii.gz", "S1", "S1", "t1", "MR"),
        VolumeEntry("broken.zip", "", "", "", problem="unreadable"),
    ]


def test_paths_may_begin_with_the_folder_by_the_name_of_a_link(tmp_path):
    (tmp_path / "disk7" / "nifti").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "disk7")
    folder, table = tmp_path / "data" / "x" / ".." / "nifti", tmp_path / "volumes.csv"
    paths = [tmp_path / "data/nifti/a.nii", tmp_path / "disk7/nifti/b.nii", tmp_path / "data/c.nii"]
    rows = "".join(f"{path},1,1,{number}\n" for number, path in enumerate(paths))
    table.write_text(f"path,patient,study,series\n{rows}")
    assert problems(read(folder, table=str(table), modality="CT")) == {
        "a.nii": "",
        "b.nii": "",
        str(tmp_path / "data/c.nii"): "outside_folder",
    }


@pytest.mark.parametrize("pattern", [PATTERN, None])
def test_link_to_a_folder_is_counted(tmp_path, pattern):
    (tmp_path / "store" / "S1").mkdir(parents=True)
    (tmp_path / "store" / "S1" / "t1.nii").touch()
    (tmp_path / "nifti" / "sub-2").mkdir(parents=True)
    (tmp_path / "nifti" / "sub-2" / "t1.nii").touch()
    (tmp_path / "nifti" / "sub-1").symlink_to(tmp_path / "store")
    entries = problems(read(tmp_path / "nifti", pattern=pattern, modality="MR"))
    assert entries == {"sub-1": "linked_folder", "sub-2/t1.nii": "not_named"}


@pytest.mark.parametrize("pattern", [PATTERN, None])
def test_file_whose_name_is_not_utf8_is_counted(tmp_path, pattern):
    file = tmp_path / os.fsdecode(b"sub-M\xfcller/anat/sub-M\xfcller_T1w.nii")
    file.parent.mkdir(parents=True)
    file.touch()
    (entry,) = read(tmp_path, pattern=pattern, modality="MR")
    assert entry.problem == "name_not_utf8" and entry.path.encode() and not entry.patient


def test_wrong_values_of_a_pattern_are_counted_by_group(tmp_path, caplog):
    for name in ("fold1/1/1/a.nii", "fold2/2/1/a.nii", "test/3/1/a.nii"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    entries = read(tmp_path, pattern=f"(?P<split>[^/]+)/{PATTERN}", modality="MR")
    assert [entry.problem for entry in entries] == ["wrong_entry", "wrong_entry", ""]
    assert "pattern: 2 files: the value of split cannot be understood, and they are not used" in caplog.text
    assert "fold1" not in caplog.text


def test_pattern_finds_files_of_any_name(tmp_path):
    names = [" P1/S 1/x y.nii", "P\\2/S/x.nii", "a:b/S/x.nii"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert problems(read(tmp_path, pattern=PATTERN, modality="MR")) == dict.fromkeys(names, "")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_member_of_a_zip_file_is_no_file_beside_it_and_is_delivered_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "P1.zip", "w") as archive:
        for name in ("S/x.nii", "S/x.nii", "../S/x.nii"):
            archive.writestr(name, b"")
    pattern = r"(?P<patient>[^/]+)\.zip/(?P<study>.*)/(?P<series>[^/]+)\.nii"
    entries = read(tmp_path, pattern=pattern, modality="MR")
    assert [(entry.path, entry.study) for entry in entries] == [("P1.zip/../S/x.nii", "../S"), ("P1.zip/S/x.nii", "S")]


def test_keys_of_a_mac_are_those_of_the_reports_and_paths_stay_as_they_are(tmp_path):
    name = unicodedata.normalize("NFD", "Müller")
    (tmp_path / name / "Bär").mkdir(parents=True)
    (tmp_path / name / "Bär" / "1.nii").touch()
    table = tmp_path / "volumes.csv"
    table.write_text(f"path,patient,study,series\n{name}/Bär/1.nii,{name},Bär,1\n")
    for options in ({"pattern": PATTERN}, {"table": str(table)}):
        (entry,) = read(tmp_path, modality="MR", **options)
        assert (entry.path, entry.patient, entry.study) == (f"{name}/Bär/1.nii", "Müller", "Bär")


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_two_columns_of_one_name_are_refused(tmp_path, ending):
    table = tmp_path / f"volumes.{ending}"
    row = {"path": "a.nii", "Patient": "Anna", "patient": "1", "study": "1", "series": "1"}
    frame = pl.DataFrame([row])
    frame.write_csv(table) if ending == "csv" else frame.write_parquet(table)
    with pytest.raises(ValueError, match="has the column patient twice"):
        read(tmp_path, table=str(table), modality="CT")


def test_folder_without_volumes_is_an_error(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"no NIfTI file .*deliveries\.volumes"):
        read(tmp_path, pattern=PATTERN, modality="CT")


def test_keys_of_table_are_not_changed(tmp_path):
    table = tmp_path / "volumes.parquet"
    pl.DataFrame({"path": ["a.nii"], "patient": [7], "study": [7.0], "series": ["07"]}).write_parquet(table)
    (entry,) = read(tmp_path, table=str(table), modality="CT")
    assert (entry.patient, entry.study, entry.series) == ("7", "7", "07")


def test_every_problem_has_a_sentence(tmp_path):
    (tmp_path / "x.nii").touch()
    assert problems(read(tmp_path, pattern=PATTERN)) == {"x.nii": "not_named"}
