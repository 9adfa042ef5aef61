import numpy as np

from refrad.dicom.volume_store import store_name
from refrad.segmentation.labels import load_labels, save_labels


def test_labels_round_trip(tmp_path):
    labels = np.random.default_rng(0).integers(0, 255, (5, 6, 7)).astype(np.uint8)
    path = tmp_path / store_name("abcdef")
    save_labels(path, labels, np.eye(4))
    assert path.parent.name == "ab"
    assert np.array_equal(load_labels(path), labels)


def test_labels_have_reproducible_bytes(tmp_path):
    for name in ("a", "b"):
        save_labels(tmp_path / f"{name}.nii.gz", np.ones((3, 3, 3), np.uint8), np.eye(4))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
