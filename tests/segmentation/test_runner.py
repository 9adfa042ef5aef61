import os
import signal
import subprocess
import sys
import textwrap
import time

import nibabel as nib
import numpy as np
import pytest

from refrad.dicom.volume_store import store_name
from refrad.segmentation.base import SegmentationJob, SegmenterLimits
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
        what = int(volume[0, 0, 0])
        tries = self.folder / f"tries-{os.getpid()}-{time.monotonic_ns()}-{what}"
        tries.touch()
        (Path(tempfile.mkdtemp(prefix="left-behind-")) / "labels").touch()
        time.sleep(self.seconds)
        if what == 101:
            os.kill(os.getpid(), signal.SIGKILL)
        if what == 102:
            time.sleep(600)
        if what == 103:
            held = np.ones(2 * 2**30, np.uint8)
            time.sleep(600)
        if what == 104 or (what == 105 and len(list(self.folder.glob("tries-*-105"))) == 1):
            raise RuntimeError("a name of a patient")
        if what == 106:
            raise UnsegmentableError("rois_not_in_task")
        if what == 107:
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

        def order(self, what: int) -> SegmentationJob:
            path = tmp_path / f"volume-{what}.nii.gz"
            nib.save(nib.Nifti1Image(np.full((4, 5, 6), what, np.int16), np.eye(4)), path)
            return SegmentationJob(f"{what:032d}", path, tmp_path / "store" / store_name(f"{what:032d}"), "total")

        def label(self, *what: int, limits: SegmenterLimits = GENEROUS) -> dict:
            from misbehaving import Misbehaving

            orders = [self.order(one) for one in what]
            outcomes = list(label_volumes(Misbehaving(tmp_path), orders, limits, tmp_path / "scratch"))
            assert sorted(one.key for one in outcomes) == sorted(one.key for one in orders)
            assert not (tmp_path / "scratch").exists()
            return {int(one.key): one for one in outcomes}

        def tries(self, what: int) -> int:
            return len(list(tmp_path.glob(f"tries-*-{what}")))

    return Site()


def test_failing_volumes_are_tried_twice_and_affect_no_other(site):
    outcomes = site.label(1, 104, 2, 101, 3, 106, 4)
    assert {what: one.reason for what, one in outcomes.items() if one.reason} == {
        104: "segmenter_failed",
        101: "segmenter_crashed",
        106: "rois_not_in_task",
    }
    assert all(np.all(load_labels(site.order(what).labels) == 1) for what in (1, 2, 3, 4))
    assert site.tries(104) == 2 and site.tries(101) == 2
    assert outcomes[1].labels == 1 and outcomes[1].digest


def test_second_try_may_succeed_and_no_message_is_quoted(site, capfd):
    assert site.label(105)[105].reason is None
    log = capfd.readouterr().err
    assert "RuntimeError in misbehaving.py" in log and "a name of a patient" not in log


@pytest.mark.slow
def test_volumes_beyond_a_limit_are_tried_twice(site):
    outcomes = site.label(1, 102, 103, 2, limits=SegmenterLimits(minutes=0.25, memory_gb=1.5, concurrent_volumes=2))
    assert {what: one.reason for what, one in outcomes.items()} == {
        1: None,
        2: None,
        102: "over_time",
        103: "over_memory",
    }


def test_installation_that_cannot_work_stops_the_run(site):
    with pytest.raises(RuntimeError, match="cannot run: ImportError: no such library"):
        site.label(1, 107)


def test_kill_loses_only_volumes_in_work_and_leaves_no_half_file(site):
    orders = [site.order(what) for what in range(1, 31)]
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from misbehaving import Misbehaving
        from refrad.dicom.volume_store import store_name
        from refrad.segmentation.base import SegmentationJob, SegmenterLimits
        from refrad.segmentation.runner import label_volumes

        folder = Path({str(site.folder)!r})
        keys = [f"{{what:032d}}" for what in range(1, 31)]
        orders = [
            SegmentationJob(key, folder / f"volume-{{int(key)}}.nii.gz", folder / "store" / store_name(key), "total")
            for key in keys if not (folder / "store" / store_name(key)).exists()
        ]
        if __name__ == "__main__":
            print(len(orders), flush=True)
            for outcome in label_volumes(Misbehaving(folder, 0.1), orders, SegmenterLimits(5, 20, 3), folder / "scratch"):
                assert outcome.reason is None
        """)
    (site.folder / "run.py").write_text(script)
    command = [sys.executable, str(site.folder / "run.py")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site.folder), os.environ.get("PYTHONPATH", "")])}
    environment["TMPDIR"] = str(site.folder / "temporary")  # stands for the machine's own
    (site.folder / "temporary").mkdir()

    def written():
        return list((site.folder / "store").glob("??/[!.]*.nii.gz"))

    run = subprocess.Popen(command, env=environment)
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
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was there has been written again"
    assert again.stdout.split() == [str(30 - survived)]
    assert {one.labels for one in orders} == set(written())
    assert not (site.folder / "scratch").exists()
    assert not list((site.folder / "temporary").iterdir())
