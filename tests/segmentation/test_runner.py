import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from refrad.core.entries import DamagedEntryError
from refrad.dicom.volume_store import store_name, store_volume
from refrad.segmentation.base import FailedVolume, SegmentationJob, SegmentedVolume, SegmenterLimits
from refrad.segmentation.labels import load_labels
from refrad.segmentation.runner import label_volumes

# The first voxel of a volume selects the fault. The module is a file, so that the segmenting process can import it.
MISBEHAVING = """
import os, signal, tempfile, time
from pathlib import Path
import numpy as np
from refrad.segmentation.base import UnsegmentableError

class Misbehaving:
    def __init__(self, folder, seconds=0.0):
        self.folder, self.seconds = folder, seconds

    def load(self):
        pass

    def segment(self, volume, affine, task):
        fault = int(volume[0, 0, 0])
        tries = self.folder / f"tries-{os.getpid()}-{time.monotonic_ns()}-{fault}"
        tries.touch()
        (Path(tempfile.mkdtemp(prefix="left-behind-")) / "labels").touch()
        time.sleep(self.seconds)
        if fault == 101:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == 102:
            time.sleep(600)
        if fault == 103:
            held = np.ones(2 * 2**30, np.uint8)
            time.sleep(600)
        if fault == 104 or (fault == 105 and len(list(self.folder.glob("tries-*-105"))) == 1):
            raise RuntimeError("a name of a patient")
        if fault == 106:
            raise UnsegmentableError("rois_not_in_task")
        if fault == 107:
            raise ImportError("no such library")
        return (volume > 0).astype(np.uint8)
"""
GENEROUS = SegmenterLimits(minutes=5, memory_gb=20, concurrent_volumes=3)


@pytest.fixture
def site(tmp_path, monkeypatch):
    (tmp_path / "misbehaving.py").write_text(MISBEHAVING)
    monkeypatch.syspath_prepend(tmp_path)

    class Site:
        folder = tmp_path

        def job(self, value: int) -> SegmentationJob:
            path = tmp_path / store_volume(np.full((4, 5, 6), value, np.int16), np.eye(4), tmp_path)[1]
            return SegmentationJob(f"{value:032d}", path, tmp_path / "store" / store_name(f"{value:032d}"), "total")

        def label(self, *values: int, limits: SegmenterLimits = GENEROUS) -> dict:
            from misbehaving import Misbehaving

            jobs = [self.job(value) for value in values]
            results = list(label_volumes(Misbehaving(tmp_path), jobs, limits, tmp_path / "scratch"))
            assert sorted(result.key for result in results) == sorted(job.key for job in jobs)
            assert not (tmp_path / "scratch").exists()
            return {int(result.key): result for result in results}

        def tries(self, value: int) -> int:
            return len(list(tmp_path.glob(f"tries-*-{value}")))

    return Site()


def test_failing_volumes_are_tried_twice_and_affect_no_other(site):
    results = site.label(1, 104, 2, 101, 3, 106, 4)
    assert {key: volume.reason for key, volume in results.items() if isinstance(volume, FailedVolume)} == {
        104: "segmenter_failed",
        101: "segmenter_crashed",
        106: "rois_not_in_task",
    }
    assert all(np.all(load_labels(site.job(value).labels) == 1) for value in (1, 2, 3, 4))
    assert site.tries(104) == 2 and site.tries(101) == 2
    assert results[1].labels == 1 and results[1].digest


def test_second_try_may_succeed_and_no_message_is_quoted(site, capfd):
    assert isinstance(site.label(105)[105], SegmentedVolume)
    log = capfd.readouterr().err
    assert "RuntimeError in misbehaving.py" in log and "a name of a patient" not in log


@pytest.mark.slow
def test_volumes_beyond_a_limit_are_tried_twice(site):
    results = site.label(1, 102, 103, 2, limits=SegmenterLimits(minutes=0.25, memory_gb=1.5, concurrent_volumes=2))
    assert isinstance(results.pop(1), SegmentedVolume) and isinstance(results.pop(2), SegmentedVolume)
    assert {key: volume.reason for key, volume in results.items()} == {102: "over_time", 103: "over_memory"}


def test_installation_that_cannot_work_stops_the_run(site):
    with pytest.raises(RuntimeError, match="cannot run: ImportError: no such library"):
        site.label(1, 107)


def test_damaged_volume_stops_the_run_by_its_name(site):
    path = site.job(1).volume
    path.write_bytes(path.read_bytes()[:-9])
    site.job = lambda _: SegmentationJob("0" * 32, path, site.folder / "labels.nii.gz", "total")
    with pytest.raises(
        DamagedEntryError, match=rf"{path.name} is damaged: delete it and make volumes.parquet of its shard again"
    ):
        site.label(1)


def test_kill_loses_only_volumes_in_work_and_leaves_no_half_file(site):
    jobs = [site.job(value) for value in range(1, 31)]
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from misbehaving import Misbehaving
        from refrad.dicom.volume_store import store_name
        from refrad.segmentation.base import SegmentationJob, SegmentedVolume, SegmenterLimits
        from refrad.segmentation.runner import label_volumes

        folder = Path({str(site.folder)!r})
        volumes = {{f"{{value:032d}}": volume for value, volume in enumerate({[str(job.volume) for job in jobs]}, 1)}}
        jobs = [
            SegmentationJob(key, folder / volume, folder / "store" / store_name(key), "total")
            for key, volume in volumes.items() if not (folder / "store" / store_name(key)).exists()
        ]
        if __name__ == "__main__":
            print(len(jobs), flush=True)
            for result in label_volumes(Misbehaving(folder, float(sys.argv[1])), jobs, SegmenterLimits(5, 20, 3), folder / "scratch"):
                assert isinstance(result, SegmentedVolume)
        """)
    (site.folder / "run.py").write_text(script)
    command = [sys.executable, str(site.folder / "run.py")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site.folder), os.environ.get("PYTHONPATH", "")])}
    environment["TMPDIR"] = str(site.folder / "temporary")  # stands for the machine's own
    (site.folder / "temporary").mkdir()

    def written():
        return list((site.folder / "store").glob("??/[!.]*.nii.gz"))

    run = subprocess.Popen([*command, "1.0"], env=environment)
    while run.poll() is None and len(written()) < 4:
        time.sleep(0.01)
    assert run.poll() is None, "it was over before it could be killed"
    run.send_signal(signal.SIGKILL)
    run.wait()
    time.sleep(1)
    survived = len(written())
    time.sleep(1)
    assert len(written()) == survived, "a process survives its supervisor"
    assert list((site.folder / "scratch").rglob("left-behind-*"))  # no process was left to remove it
    assert all(np.all(load_labels(path) == 1) for path in written())
    before = {path: path.stat().st_mtime_ns for path in written()}
    again = subprocess.run([*command, "0"], env=environment, capture_output=True, text=True, check=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was there has been written again"
    assert again.stdout.split() == [str(30 - survived)]
    assert {job.labels for job in jobs} == set(written())
    assert not (site.folder / "scratch").exists()
    assert not list((site.folder / "temporary").iterdir())
