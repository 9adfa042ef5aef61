import numpy as np
from tests.factories.review_site import AXIAL, SLICES, write_review_site

from refrad.review.volume_shelf import ShardKey, ShardTables, VolumeShelf

SHARD = ShardKey("demo", 0)


def shelf_of(folder, schema):
    results = folder / "results"
    part = f"{SHARD.delivery}/{SHARD.shard}"
    tables = ShardTables(results / "volumes" / part / "volumes.parquet", results / "masks" / part / "masks.parquet")
    return VolumeShelf({SHARD: tables}, folder / "stores" / "volumes", folder / "stores" / "masks", schema)


def test_volume_and_classes_are_those_of_the_stores(tmp_path, schema):
    shelf = shelf_of(write_review_site(tmp_path), schema)
    volume, classes = shelf.volume(SHARD, "axial"), shelf.classes(SHARD, "axial")
    assert volume.modality == "CT" and volume.voxels.shape == classes.shape == (64, 64, SLICES)
    assert np.array_equal(volume.affine, AXIAL)
    assert np.array_equal(classes == 5, volume.voxels == 120) and (classes == 5).sum() == 20 * 20 * (SLICES - 1)
    assert shelf.volume(SHARD, "axial") is volume


def test_what_a_store_lacks_is_none(tmp_path, schema, caplog):
    folder = write_review_site(tmp_path)
    for path in (folder / "stores" / "volumes").rglob("*.nii.gz"):
        path.write_bytes(path.read_bytes()[:-9])
    for path in (folder / "stores" / "masks").rglob("*.nii.gz"):
        path.write_bytes(b"")
    shelf = shelf_of(folder, schema)
    assert shelf.volume(SHARD, "gone") is None and shelf.classes(SHARD, "gone") is None
    assert shelf.volume(SHARD, "axial") is None and shelf.classes(SHARD, "axial") is None
    assert shelf.volume(SHARD, "unknown") is None and shelf.volume(ShardKey("other", 9), "axial") is None
    assert "is damaged" in caplog.text and "is gone" in caplog.text


def test_damaged_tables_leave_the_pictures_of_the_dataset(tmp_path, schema):
    folder = write_review_site(tmp_path)
    (folder / "results" / "volumes" / "demo" / "0" / "volumes.parquet").write_bytes(b"PAR1xxxxPAR1")
    assert shelf_of(folder, schema).volume(SHARD, "axial") is None
