import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from refrad.config import ConfigError, VolumeFiles
from refrad.nifti.delivery_checks import check_volume_files

KEYS = "(?P<patient>[^/]+)/(?P<study>[^/]+)/(?P<series>[^/]+)"


@pytest.fixture
def folder(tmp_path):
    """A folder with a NIfTI file whose path names a patient."""
    (tmp_path / "nifti" / "Mueller7" / "ct").mkdir(parents=True)
    (tmp_path / "nifti" / "Mueller7" / "ct" / "thorax.nii.gz").touch()
    return tmp_path / "nifti"


def finding(path, results=Path("/nowhere"), **options):
    """The finding about a section, or ""."""
    section = VolumeFiles(**({"folder": str(path)} | options))
    config = SimpleNamespace(deliveries=[SimpleNamespace(volumes=None), SimpleNamespace(name="b", volumes=section)])
    try:
        check_volume_files(config, results)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pattern": f"{KEYS}.nii.gz", "modality": "CT"}, ""),
        ({"pattern": f"{KEYS}.nii.gz"}, r"modality: missing, and the pattern has no group modality"),
        (
            {"pattern": f"x/{KEYS}", "modality": "CT"},
            r'pattern: .* none of the 1 files; .* form "AAAAAAA9/AA/AAAAAA\.',
        ),
        ({"pattern": f"(?P<splits>){KEYS}.*", "modality": "CT"}, r"\(\?P<splits>\.\.\.\) is no column .* split"),
        ({}, r"folder: is no BIDS dataset .* name a table or a pattern"),
        ({"folder": "/nowhere"}, r"folder: is no folder: /nowhere"),
    ],
)
def test_wrong_section_is_found_before_a_run(folder, options, words):
    text = finding(folder, **options)
    assert re.search(f"^config: deliveries\\.1\\.volumes\\..*{words}", text) if words else not text
    assert "Mueller" not in text


@pytest.mark.parametrize(
    ("header", "modality", "words"),
    [
        ("path,patient,study,series,modality", None, ""),
        ("path,patient,study,series", "MR", ""),
        ("path,patient,study,series", None, "the table has no column modality"),
        ("path,patient_id,study,series", "MR", "has no column patient; is it the column patient_id"),
    ],
)
def test_wrong_table_is_found_before_a_run(folder, header, modality, words):
    table = folder.parent / "volumes.csv"
    table.write_text(f"{header}\nMueller7/ct/thorax.nii.gz" + ",x" * header.count(",") + "\n")
    text = finding(folder, table=str(table), modality=modality)
    assert words in text if words else not text


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["Mueller8/ct.nii.gz", "Mueller7/ct/thorax.nii.gz"], ""),  # others may be missing
        (["nifti/Mueller7/ct/thorax.nii.gz", "../Mueller7"], 'table: none of its 2 paths .* form "AAAAA/AAAAAAA9/AA/'),
        (["Mueller7/ct/thorax.nii.gz/x.nii"], "table: none of its 1 paths"),
    ],
)
def test_paths_of_another_folder_are_found_before_a_run(folder, paths, words):
    table = folder.parent / "volumes.csv"
    table.write_text("path,patient,study,series\n" + "".join(f"{path},x,x,x\n" for path in paths))
    text = finding(folder, table=str(table), modality="MR")
    assert re.search(words, text) if words else not text
    assert "Mueller" not in text


def test_files_that_are_indexed_may_be_moved_away(folder):
    table, index = folder.parent / "volumes.csv", folder.parent / "results" / "index" / "b"
    table.write_text("path,patient,study,series\ngone.nii,x,x,x\n")
    index.mkdir(parents=True)
    (index / "instances.parquet").touch()
    assert finding(folder, table=str(table), modality="MR")
    assert not finding(folder, results=folder.parent / "results", table=str(table), modality="MR")


def test_pattern_may_match_a_file_behind_many_others(folder):
    (folder / "masks").mkdir()
    for number in range(300):  # whatever the order of the folders
        (folder / f"{number}.nii").touch()
        (folder / "masks" / f"{number}.nii").touch()
    assert not finding(folder, pattern=f"{KEYS}.nii.gz", modality="CT")


def test_folder_without_volumes_is_found_before_a_run(tmp_path):
    (tmp_path / "notes.txt").touch()
    assert "holds no NIfTI file" in finding(tmp_path, pattern=f"{KEYS}.nii", modality="CT")
