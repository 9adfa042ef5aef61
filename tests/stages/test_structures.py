"""Stage structures: boxes and areas of each slice, and flags of implausible masks."""

import shutil

import numpy as np
import polars as pl
import pytest
from tests.factories import Study

from refrad.core.contracts import FlagTable, MaskTable, StructureTable, VolumeTable
from refrad.core.tables import read_table


def test_slices_with_a_structure_are_used_and_empty_ones_not(study):
    metrics = study.structures()
    assert metrics["flow"] == {"taken": 6, "used": 5, "aside": {"no_structure": 1}}


def test_structure_has_a_box_in_pixels_and_an_area_in_mm2(study):
    study.structures()
    table = read_table(study.path("structures"), StructureTable)
    liver = next(row for row in table.iter_rows(named=True) if row["instance"] == "i0" and row["class_id"] == 5)
    assert (liver["x_min"], liver["y_min"], liver["x_max"], liver["y_max"]) == (2, 4, 22, 14)
    assert liver["area"] == 200
    assert np.isclose(liver["area_mm2"], 800)


def test_stray_voxel_does_not_stretch_the_box(study):
    study.structures()
    rows = read_table(study.path("structures"), StructureTable).iter_rows(named=True)
    assert all(row["x_max"] <= 22 for row in rows if row["class_id"] == 5)


@pytest.mark.parametrize(("policy", "rows", "counted"), [("leave_out", 5, "left out"), ("keep", 6, "kept")])
def test_fragment_is_counted_and_left_out_by_default(policy, rows, counted, study):
    study.labels[28:31, 20, 5] = 5  # three pixels of liver behind its end
    study.save_labels()
    study.structures()  # writes the table of masks
    metrics = study.run("structures", study.structures_options() | {"fragments": policy})
    table = read_table(study.path("structures"), StructureTable)
    assert len(table.filter(pl.col("class_id") == 5)) == rows
    assert metrics["made"][f"fragments {counted}"] == 1
    assert metrics["tables"][f"fragments {counted}, CT"] == {"liver": 1}
    assert metrics["flow"]["aside"] == ({"no_structure": 1} if policy == "leave_out" else {})


@pytest.mark.parametrize(("age", "count"), [(50, 1), (None, 1), (3, 0)])
def test_reference_volumes_of_adults_are_not_used_for_children(age, count, study):
    study.labels[study.labels == 2] = 0
    study.labels[5:8, 18, 2] = 2  # all that there is of a kidney
    study.save_labels()
    study.write(VolumeTable, "volumes", [study.volume() | {"age": age}])
    assert study.structures()["made"]["fragments left out"] == count


def test_slices_of_a_volume_without_mask_are_counted(study):
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
    metrics = study.run("structures", study.structures_options())
    assert metrics["flow"] == {"taken": 6, "used": 0, "aside": {"no_mask": 6}}


def test_implausible_structure_is_flagged_and_its_volume_used(study):
    metrics = study.structures()
    flags = read_table(study.path("flags"), FlagTable)
    assert flags.select("flag", "class_id", "action").rows() == [
        ("volume", 2, "flag"),  # the kidneys of the made-up study have 2.4 ml each
        ("volume", 3, "flag"),
    ]
    assert flags["high"].min() > 300 and flags["value"].max() < 5
    assert metrics["tables"]["volumes with a flag, CT"] == {"volume": 1}
    assert metrics["flow"]["used"] == 5


def test_flag_can_quarantine_its_volume(study):
    study.structures()
    metrics = study.run("structures", study.structures_options(volume="quarantine"))
    assert metrics["flow"] == {"taken": 6, "used": 0, "aside": {"implausible": 6}}
    assert read_table(study.path("structures"), StructureTable).is_empty()
    assert set(read_table(study.path("flags"), FlagTable)["action"]) == {"quarantine"}


def test_slices_are_counted_by_class_and_pair_of_classes(study):
    tables = study.structures()["tables"]
    assert tables["slices with a class, CT"] == {"liver": 5, "kidney_right": 3, "kidney_left": 3}
    (together,) = [table for name, table in tables.items() if name.startswith("classes together")]
    assert together == {"right kidney, left kidney": 3, "right kidney, liver": 3, "left kidney, liver": 3}


@pytest.mark.parametrize("renamed", [True, False])
def test_norms_of_missing_classes_are_logged_once(renamed, tmp_path, root, caplog):
    (tmp_path / "study").mkdir()
    for name in ("classes.yaml", "plausibility.yaml"):
        shutil.copy(root / "workflow" / "anatomy" / name, tmp_path / name)
    if renamed:
        classes = (tmp_path / "classes.yaml").read_text()
        (tmp_path / "classes.yaml").write_text(classes.replace("name: spleen,", "name: milt,"))
    metrics = Study(tmp_path / "study", tmp_path / "classes.yaml").structures()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["structures: norms of spleen are not used: the class schema has no such class"] * renamed
    assert metrics["tables"]["volumes with a flag, CT"] == {"volume": 1}
