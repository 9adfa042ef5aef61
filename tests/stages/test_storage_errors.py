"""A file for which the storage fails does not end a run, and many do: a link to a process's memory fails as a bad disk does."""

import numpy as np
import pytest
from tests.factories import ReportDelivery, fingerprint, make_volumes, only_volume, write_dicom

from refrad.core.contracts import VolumeTable
from refrad.core.tables import read_table
from refrad.stages import volumes

FAILING = "/proc/self/mem"  # reading its first bytes is an input/output error


def write_series(folder, series="1", slices=5):
    for z in range(slices):
        write_dicom(
            folder / series / str(z),
            np.full((4, 4), z, np.uint16),
            ImagePositionPatient=[0, 0, z],
            SeriesInstanceUID=f"1.2.{series}",
        )


def test_index_goes_on_after_a_storage_error(tmp_path, caplog):
    write_series(tmp_path / "in")
    (tmp_path / "in" / "Muster").symlink_to(FAILING)
    made = make_volumes(tmp_path / "in", tmp_path / "out")
    assert only_volume(made)["slices"] == 5
    assert made.index["flow"]["aside"] == {"storage_error": 1}
    assert made.index["flow"]["taken"] == 6
    assert (tmp_path / "out" / "storage_errors.txt").read_text() == "Muster\n"
    assert "the storage failed for 1 files" in caplog.text
    assert "Muster" not in caplog.text


def test_index_ends_after_more_storage_errors_than_allowed(tmp_path):
    write_series(tmp_path / "in")
    for number in range(3):
        (tmp_path / "in" / f"bad{number}").symlink_to(FAILING)
    with pytest.raises(ValueError, match="the storage failed for 3 files"):
        make_volumes(tmp_path / "in", tmp_path / "out", index_options={"storage_errors": 2})
    assert len((tmp_path / "out" / "storage_errors.txt").read_text().split()) == 3


def remake(tmp_path, **options):
    """Stage volumes once more, on the index that there is."""
    out = tmp_path / "out"
    volumes.run(
        dicom=tmp_path / "in",
        key=out / "key",
        instances=out / "instances.parquet",
        files=out / "files.parquet",
        volumes=out / "again.parquet",
        slices=out / "again_slices.parquet",
        store=out / "store",
        shard=0,
        metrics=out / "again.json",
        fingerprint=fingerprint("volumes", minimum_slices=3, memory_gb=4.0, seconds=60.0, **options),
    )


def test_volumes_go_on_after_a_storage_error(tmp_path):
    write_series(tmp_path / "in", "1")
    write_series(tmp_path / "in", "2")
    make_volumes(tmp_path / "in", tmp_path / "out")
    bad = tmp_path / "in" / "1" / "3"
    bad.unlink()
    bad.symlink_to(FAILING)
    remake(tmp_path)
    assert (tmp_path / "out" / "storage_errors_0.txt").read_text() == "1/3\n"
    assert '"storage_error": 1' in (tmp_path / "out" / "again.json").read_text()
    with pytest.raises(ValueError, match="the storage failed for 1 files"):
        remake(tmp_path, storage_errors=0)


@pytest.mark.parametrize("gaps", ["split", "quarantine"])
def test_good_runs_around_a_failing_file_are_volumes_if_split(gaps, tmp_path):
    write_series(tmp_path / "in", slices=9)
    make_volumes(tmp_path / "in", tmp_path / "out")
    bad = tmp_path / "in" / "1" / "4"
    bad.unlink()
    bad.symlink_to(FAILING)
    remake(tmp_path, gaps=gaps)
    rows = read_table(tmp_path / "out" / "again.parquet", VolumeTable).select("reason", "slices", "treated").rows()
    run = (None, 4, "storage_error, slice_missing")
    assert rows == ([run, run, ("storage_error", 1, None)] if gaps == "split" else [("storage_error", 9, None)])
    assert (tmp_path / "out" / "storage_errors_0.txt").read_text() == "1/4\n"


def test_captions_go_on_after_a_storage_error(tmp_path, caplog):
    delivery, reports = ReportDelivery(tmp_path), tmp_path / "reports"
    for folder in ("good", "Muster1", "Muster2"):
        (reports / folder).mkdir(parents=True)
    (reports / "good" / "ACC99.txt").write_text("Befund: Leber normal.")
    for folder in ("Muster1", "Muster2"):
        (reports / folder / "ACC99.txt").symlink_to(FAILING)
    assert delivery.run([], reports=reports)["text"].to_list() == ["Leber normal."]
    assert delivery.metrics["tables"]["reports"] == {"used": 1, "storage_error": 2}
    names = (tmp_path / "storage_errors_captions_1.txt").read_text()
    assert names == "Muster1/ACC99.txt\nMuster2/ACC99.txt\n"
    assert "the storage failed for 2 files" in caplog.text and "Muster" not in caplog.text
    with pytest.raises(ValueError, match="the storage failed for 2 files"):
        delivery.run([], reports=reports, fingerprint=fingerprint("captions", storage_errors=1))
