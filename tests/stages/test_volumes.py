import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from refrad.fingerprint import Fingerprint
from refrad.imaging.volumes import read_volume
from refrad.privacy.pseudonyms import Pseudonyms
from refrad.stages import index, volumes
from refrad.tables import SliceTable, VolumeTable, read_table

KEY = bytes(range(32))
RAS = np.diag([-1, -1, 1])  # from DICOM's patient coordinates to NIfTI's
INDEX = Fingerprint("index", 1, {"test": 0.2, "validation": 0.1}, {})


def fingerprint(minimum_slices=3):
    options = {"minimum_slices": minimum_slices, "spacing_tolerance": 0.02, "angle_tolerance": 0.5}
    return Fingerprint("volumes", 1, options, {})


def make(dicom: Path, out: Path, minimum_slices=3):
    """Both stages over a delivery in one shard; its tables, store, metrics and pseudonyms."""
    (out / "key").write_bytes(KEY)
    common = {
        "dicom": dicom,
        "key": out / "key",
        "instances": out / "instances.parquet",
        "files": out / "files.parquet",
    }
    index.run(**common, reports=out, metrics=out / "index.json", fingerprint=INDEX, shards=1)
    mine = {"store": out / "store", "volumes": out / "volumes.parquet", "slices": out / "slices.parquet"}
    print_to = out / "volumes.json"
    volumes.run(**common, **mine, shard=0, metrics=print_to, fingerprint=fingerprint(minimum_slices))
    return SimpleNamespace(
        volumes=read_table(mine["volumes"], VolumeTable),
        slices=read_table(mine["slices"], SliceTable),
        store=mine["store"],
        metrics=json.loads(print_to.read_text()),
        pseudonyms=Pseudonyms(KEY),
    )


@st.composite
def stacks(draw):
    """A regular stack with any orientation, spacing and size, its slices in any order under any names."""
    count = draw(st.integers(3, 7))
    numbers = st.integers(-3000, 3000)
    orientation = draw(st.sampled_from(["axes", "any"]))
    seed = draw(st.integers(0, 2**32 - 1))
    turn = Rotation.random(random_state=seed).as_matrix()
    if orientation == "axes":  # one of the 24 ways to turn a cube: feet first, prone, sagittal, ...
        turn = Rotation.create_group("O").as_matrix()[seed % 24]
    shape = (count, draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    return SimpleNamespace(
        turn=turn,
        step=draw(st.floats(0.3, 12)),
        spacing=[round(draw(st.floats(0.1, 8)), 6) for _ in range(2)],
        first=[draw(st.floats(-900, 900)) for _ in range(3)],
        pixels=np.random.default_rng(seed).integers(-1024, 3072, shape, dtype=np.int16),
        order=draw(st.permutations(range(count))),
        paths=draw(
            st.lists(
                st.from_regex(r"([a-z]{1,3}/){0,3}[A-Z0-9 ._äß-]{1,8}[a-z]", fullmatch=True),
                min_size=count,
                max_size=count,
                unique=True,
            )
        ),
        modality=draw(st.sampled_from(["CT", "MR"])),
        scales=[(draw(st.sampled_from([1, 2, 0.5])), draw(st.sampled_from([0, -1024, 7]))) for _ in range(count)],
        shift=draw(numbers),
    )


def clash(paths):
    """A name that is a file and a folder at once cannot be written."""
    folders = {parent.as_posix() for path in paths for parent in Path(path).parents}
    return bool(folders & set(paths))


@settings(max_examples=60, deadline=None)
@given(stack=stacks())
def test_every_slice_lies_where_its_dicom_file_says_pixel_by_pixel(stack, write_slice):
    if clash(stack.paths):
        return
    along_row, along_column, normal = stack.turn
    count, rows, columns = stack.pixels.shape
    positions = [np.round(np.array(stack.first) + k * stack.step * normal, 6) for k in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        for path, k in zip(stack.paths, stack.order, strict=True):
            slope, intercept = stack.scales[k] if stack.modality == "CT" else (1, 0)
            write_slice(
                Path(folder, "dicom", path),
                stack.pixels[k],
                Modality=stack.modality,
                SOPInstanceUID=f"1.2.3.{k + 1}",
                ImagePositionPatient=positions[k].tolist(),
                ImageOrientationPatient=np.round([*along_row, *along_column], 9).tolist(),
                PixelSpacing=stack.spacing,
                RescaleSlope=slope,
                RescaleIntercept=intercept,
                InstanceNumber=int(stack.order[k]),
            )
        made = make(Path(folder, "dicom"), Path(folder))
        row = made.volumes.row(0, named=True)
        assert row["reason"] is None
        volume, affine = read_volume(made.store / row["file"])
    assert volume.shape == (columns, rows, count)
    assert volume.dtype == np.int16
    place = {r["instance"]: r for r in made.slices.iter_rows(named=True)}
    for k in range(count):
        its = place[made.pseudonyms.instance(f"1.2.3.{k + 1}")]
        slope, intercept = stack.scales[k] if stack.modality == "CT" else (1, 0)
        np.testing.assert_array_equal(volume[:, :, its["index"]].T, np.rint(stack.pixels[k] * slope + intercept))
        assert its["instance_number"] == stack.order[k]
        for r, c in [(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)]:
            in_dicom = positions[k] + c * stack.spacing[1] * along_row + r * stack.spacing[0] * along_column
            in_volume = affine @ [c, r, its["index"], 1]
            np.testing.assert_allclose(in_volume[:3], RAS @ in_dicom, atol=2e-3)
