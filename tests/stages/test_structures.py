import numpy as np

from refrad.tables import MaskTable, StructureTable, read_table


def test_every_slice_with_a_structure_is_used_and_the_empty_one_is_aside(study):
    metrics = study.structures()
    assert metrics["flow"] == {"taken": 6, "used": 5, "aside": {"no_structure": 1}}


def test_a_structure_carries_its_box_in_dicom_pixels_and_its_area_in_mm2(study):
    study.structures()
    table = read_table(study.path("structures"), StructureTable)
    liver = next(row for row in table.iter_rows(named=True) if row["instance"] == "i0" and row["class_id"] == 5)
    assert (liver["x_min"], liver["y_min"], liver["x_max"], liver["y_max"]) == (2, 4, 22, 14)
    assert liver["area"] == 200
    assert np.isclose(liver["area_mm2"], 800)


def test_a_stray_voxel_does_not_stretch_the_box(study):
    study.structures()
    rows = read_table(study.path("structures"), StructureTable).iter_rows(named=True)
    assert all(row["x_max"] <= 22 for row in rows if row["class_id"] == 5)


def test_a_volume_without_mask_puts_its_slices_aside(study):
    mask = {
        "volume": "v",
        "task": "total",
        "segmenter": "x",
        "weights": None,
        "digest": None,
        "file": None,
        "labels": None,
    }
    study.write(MaskTable, "masks", [mask | {"reason": "segmenter_failed"}])
    metrics = study.run("structures", {"schema": "", "minimum_area_mm2": 10.0, "minimum_share": 0.1})
    assert metrics["flow"] == {"taken": 6, "used": 0, "aside": {"no_mask": 6}}
