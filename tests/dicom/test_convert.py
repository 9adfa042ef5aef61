"""Enhanced files and stacks with gaps, from DICOM to the volume and back, voxel by voxel."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from tests.factories import RAS, instance_of, make_volumes, only_volume, stacks, write_dicom

from refrad.dicom.convert import AcceptedVolume, ConversionJob, GeometryCriteria, QuarantinedVolume, convert
from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume


def group(**macros):
    """A functional group: each macro is a sequence of one item with these attributes."""
    dataset = Dataset()
    for name, attributes in macros.items():
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        setattr(dataset, name, [item])
    return dataset


@settings(max_examples=15, deadline=None)
@given(stack=stacks())
def test_enhanced_frames_have_the_positions_of_their_groups(stack):
    """An enhanced file holds the slices in any order, each with its own place and scale."""
    along_row, along_column, normal = stack.turn
    count, rows, columns = stack.pixels.shape
    step = stack.step * (normal + stack.lean * along_column)
    positions = [np.round(np.array(stack.first) + k * step, 6).tolist() for k in range(count)]
    scales = [stack.scales[k] if stack.modality == "CT" else (1, 0) for k in range(count)]
    everywhere = group(
        PlaneOrientationSequence={"ImageOrientationPatient": np.round([*along_row, *along_column], 9).tolist()},
        PixelMeasuresSequence={"PixelSpacing": stack.spacing},
    )
    frames = [
        group(
            PlanePositionSequence={"ImagePositionPatient": positions[k]},
            PixelValueTransformationSequence={"RescaleSlope": scales[k][0], "RescaleIntercept": scales[k][1]},
        )
        for k in stack.order
    ]
    top = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept")
    with tempfile.TemporaryDirectory() as folder:
        write_dicom(
            Path(folder, "enhanced"),
            stack.pixels[list(stack.order)],
            **dict.fromkeys(top),
            Modality=stack.modality,
            SOPInstanceUID="1.2.3",
            SharedFunctionalGroupsSequence=[everywhere],
            PerFrameFunctionalGroupsSequence=frames,
        )
        frames = [("enhanced", number) for number in range(count)]
        store = Path(folder, "store")
        (result,) = convert(
            ConversionJob("v", Path(folder), frames, stack.modality, GeometryCriteria(3, 0.02, 0.5, True), store)
        )
        assert isinstance(result, AcceptedVolume) and result.members is None
        volume, affine = read_volume(store / result.file)
    assert volume.shape == (columns, rows, count)
    for index, frame in enumerate(result.stack.order):
        k = stack.order[frame]
        slope, intercept = scales[k]
        np.testing.assert_array_equal(image_at(volume, index), np.rint(stack.pixels[k] * slope + intercept))
        for r, c in [(0, 0), (rows - 1, columns - 1)]:
            in_dicom = positions[k] + c * stack.spacing[1] * along_row + r * stack.spacing[0] * along_column
            np.testing.assert_allclose((affine @ [c, r, index, 1])[:3], RAS @ in_dicom, atol=2e-3)


@settings(max_examples=25, deadline=None)
@given(stack=stacks(), gap=st.sampled_from([1, 2.5]), others=st.integers(1, 5), after=st.sampled_from([1, 0.5]))
def test_stack_with_a_gap_is_split_without_invented_voxels(stack, gap, others, after):
    """Slices behind the gap lie at the same distance or at another one, or are too few."""
    along_row, along_column, normal = stack.turn
    count, rows, columns = stack.pixels.shape
    steps = [0] + [1] * (count - 1) + [gap + 1] + [after] * (others - 1)
    pixels = np.concatenate([stack.pixels, stack.pixels[0] + np.arange(1, others + 1, dtype=np.int16)[:, None, None]])
    step = stack.step * (normal + stack.lean * along_column)
    positions = np.round(np.array(stack.first) + np.cumsum(steps)[:, None] * step, 6)
    order = np.random.default_rng(others).permutation(len(positions))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for k in order:
            write_dicom(
                folder / f"{k}",
                pixels[k],
                ImagePositionPatient=positions[k].tolist(),
                ImageOrientationPatient=np.round([*along_row, *along_column], 9).tolist(),
                PixelSpacing=stack.spacing,
            )
        frames = [(f"{k}", 0) for k in order]
        parts = convert(
            ConversionJob("v", folder, frames, "CT", GeometryCriteria(3, 0.02, 0.5, True), folder / "store", split=True)
        )
        read = {
            part.part: read_volume(folder / "store" / part.file) for part in parts if isinstance(part, AcceptedVolume)
        }
    assert sorted(member for part in parts for member in part.members) == list(range(len(positions)))
    runs = [set(range(count)), set(range(count, len(positions)))]
    accepted = [part for part in parts if isinstance(part, AcceptedVolume)]
    assert [{int(order[i]) for i in part.members} for part in accepted] in (runs[: 1 + (others >= 3)], runs[::-1])
    for part in accepted:
        volume, affine = read[part.part]
        assert volume.shape == (columns, rows, len(part.members))  # no voxel was invented
        assert part.treated[0] in {"slice_missing", "spacing_irregular"}
        for index, number in enumerate(part.stack.order):
            k = order[part.members[number]]
            np.testing.assert_array_equal(image_at(volume, index), pixels[k])
            for r, c in [(0, 0), (rows - 1, columns - 1)]:
                in_dicom = positions[k] + c * stack.spacing[1] * along_row + r * stack.spacing[0] * along_column
                np.testing.assert_allclose((affine @ [c, r, index, 1])[:3], RAS @ in_dicom, atol=2e-3)
    left_over = [part for part in parts if isinstance(part, QuarantinedVolume)]
    assert [len(part.members) for part in left_over] == ([others] if others < 3 else [])
    assert {part.reason for part in left_over} <= {"slice_missing", "spacing_irregular"}


def test_split_of_a_real_series_matches_simpleitk(shared, tmp_path):
    folder = shared / "dicom-ct" / "dicom2nifti_sliceincrement_gap"  # 5, 5 and 10 mm
    outputs = make_volumes(folder, tmp_path, gaps="split")
    part, unused = outputs.volumes.sort("slices", descending=True).to_dicts()
    assert (part["reason"], part["slices"], part["treated"]) == (None, 3, "slice_missing")
    assert part["spacing_z"] == pytest.approx(5, abs=1e-5)
    assert (unused["reason"], unused["slices"], unused["file"]) == ("slice_missing", 1, None)
    assert part["volume"] == f"{unused['volume']}-1"
    assert outputs.metrics["flow"] == {"taken": 2, "used": 1, "aside": {"slice_missing": 1}}
    volume, affine = read_volume(outputs.store / part["file"])
    index_of = dict(outputs.slices.select("instance", "index").iter_rows())
    images = [(instance_of(outputs, path), SimpleITK.ReadImage(str(path))) for path in folder.iterdir()]
    assert sum(instance in index_of for instance, _ in images) == 3
    for instance, image in images:
        if instance in index_of:
            index = index_of[instance]
            np.testing.assert_array_equal(image_at(volume, index), SimpleITK.GetArrayFromImage(image)[0])
            np.testing.assert_allclose((affine @ [0, 0, index, 1])[:3], RAS @ image.GetOrigin(), atol=1e-3)


def write_stack(folder, count, bad=(), step=1.0, missing=()):
    """CT slices of which the pixels of some are cut; the positions in `missing` have none."""
    for z in range(count):
        if z not in missing:
            path = write_dicom(folder / f"{z:02}", np.full((6, 6), z, np.uint16), ImagePositionPatient=[0, 0, z * step])
            if z in bad:
                path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    ("bad", "missing", "parts"),
    [
        ([6], [], [range(6), range(7, 14)]),
        ([0], [], [range(1, 14)]),
        ([13], [], [range(13)]),
        ([0, 13], [], [range(1, 13)]),
        ([5, 6], [], [range(5), range(7, 14)]),
        ([4], [9], [range(4), range(5, 9), range(10, 14)]),
        ([1, 11], [], [range(2, 11)]),  # runs that are too short are no volumes
    ],
)
def test_good_runs_around_unreadable_slices_are_volumes(bad, missing, parts, tmp_path):
    write_stack(tmp_path / "in", 14, bad, missing=missing)
    made = make_volumes(tmp_path / "in", tmp_path / "out", gaps="split")
    accepted = made.volumes.filter(made.volumes["reason"].is_null()).sort("volume")
    assert made.volumes["volume"].is_unique().all()
    assert accepted["slices"].to_list() == [len(part) for part in parts]
    for row, part in zip(accepted.iter_rows(named=True), parts, strict=True):
        volume, affine = read_volume(made.store / row["file"])
        assert [int(volume[0, 0, k]) for k in range(len(part))] == list(part)
        assert affine[2, 3] == part[0]
        assert row["treated"].startswith("unreadable_pixels")
    aside = dict(made.volumes.filter(made.volumes["reason"].is_not_null()).select("reason", "slices").rows())
    assert aside["unreadable_pixels"] == len(bad)
    assert sum(made.volumes["slices"]) == 14 - len(missing)


@pytest.mark.parametrize(("gaps", "bad"), [("quarantine", [6]), ("split", range(14))])
def test_stack_with_unreadable_slices_is_refused_whole(gaps, bad, tmp_path):
    write_stack(tmp_path / "in", 14, bad)
    row = only_volume(make_volumes(tmp_path / "in", tmp_path / "out", gaps=gaps))
    assert (row["reason"], row["slices"]) == ("unreadable_pixels", 14)
