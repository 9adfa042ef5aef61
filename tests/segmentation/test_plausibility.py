import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.anatomy.schema import Schema
from refrad.cli import main
from refrad.demo.bodies import make_body
from refrad.demo.rendering import render
from refrad.segmentation.plausibility import find_flags, load_norms, unused_norms

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = [-190, -190, 40]


@pytest.fixture(scope="module")
def norms(root):
    return load_norms(root / "workflow" / "anatomy" / "plausibility.yaml")


@pytest.fixture(scope="module")
def body(schema):
    """Class ids of a made-up body whose organs are where they belong."""
    from totalsegmentator.map_to_binary import class_map

    native = {name: number for number, name in class_map["total"].items()}
    _, labels = render(make_body(7), AFFINE, (96, 96, 120), "CT", native, seed=1)
    return schema.native_lut("total")[labels]


def kinds(flags):
    return {(flag.flag, flag.class_id) for flag in flags}


def ball(classes, class_id, centre, ml):
    """The classes with a ball of so many ml painted at a voxel."""
    radius = (3 * 1000 * ml / (4 * np.pi)) ** (1 / 3) / 4
    at = np.indices(classes.shape)
    inside = sum((at[a] - centre[a]) ** 2 for a in range(3)) < radius**2
    return np.where(inside, np.uint8(class_id), classes)


def test_plausible_body_has_few_flags(body, schema, norms):
    assert not {flag for flag, _ in kinds(find_flags(body, AFFINE, schema, norms))} & {
        "empty",
        "sides",
        "elsewhere",
        "pieces",
    }


@given(axis=st.permutations([0, 1, 2]), flips=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_flags_do_not_depend_on_the_grid_orientation(body, schema, norms, axis, flips):
    turned, affine = body.transpose(axis), AFFINE[:, [*axis, 3]].copy()
    for number, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, number] * (turned.shape[number] - 1)
            affine[:3, number] *= -1
            turned = np.flip(turned, number)
    assert kinds(find_flags(turned, affine, schema, norms)) == kinds(find_flags(body, AFFINE, schema, norms))


def test_mirrored_affine_has_swapped_sides(body, schema, norms):
    mirrored = AFFINE.copy()
    mirrored[0] *= -1
    (flag,) = [entry for entry in find_flags(body, mirrored, schema, norms) if entry.flag == "sides"]
    assert flag.value > 0.9


def test_bladder_in_the_chest_is_elsewhere(body, schema, norms):
    bladder = schema.by_name["urinary_bladder"].id
    moved = ball(np.where(body == bladder, 0, body).astype(np.uint8), bladder, (48, 48, 112), 100)
    assert ("elsewhere", bladder) in kinds(find_flags(moved, AFFINE, schema, norms))


def test_organ_of_another_size_is_flagged_unless_cut(schema, norms):
    spleen = schema.by_name["spleen"].id
    empty = np.zeros((60, 60, 60), np.uint8)
    assert not find_flags(ball(empty, spleen, (30, 30, 30), 150), AFFINE, schema, norms)
    assert kinds(find_flags(ball(empty, spleen, (30, 30, 30), 10), AFFINE, schema, norms)) == {("volume", spleen)}
    assert kinds(find_flags(ball(empty, spleen, (30, 30, 30), 700), AFFINE, schema, norms)) == {("volume", spleen)}
    assert not find_flags(ball(empty, spleen, (0, 30, 30), 10), AFFINE, schema, norms)


def test_children_are_not_measured_as_adults(schema, norms):
    small = ball(np.zeros((60, 60, 60), np.uint8), schema.by_name["spleen"].id, (30, 30, 30), 10)
    assert find_flags(small, AFFINE, schema, norms, age=40)
    assert not find_flags(small, AFFINE, schema, norms, age=4)


def test_liver_in_two_halves_is_in_pieces(schema, norms):
    liver = schema.by_name["liver"].id
    half = ball(np.zeros((90, 90, 60), np.uint8), liver, (22, 45, 30), 700)
    assert ("pieces", liver) in kinds(find_flags(ball(half, liver, (66, 45, 30), 700), AFFINE, schema, norms))


def test_lungs_are_joined_from_their_lobes(schema, norms):
    upper, lower = (schema.by_name[f"lung_{part}_lobe_left"].id for part in ("upper", "lower"))
    lobes = ball(ball(np.zeros((60, 60, 60), np.uint8), upper, (30, 30, 25), 100), lower, (30, 30, 38), 100)
    assert kinds(find_flags(lobes, AFFINE, schema, norms)) == {("volume", schema.by_name["lung_left"].id)}


def test_brain_in_a_knee_is_elsewhere_and_no_class_is_empty(schema, norms):
    brain = schema.by_name["brain"].id
    image = ball(np.zeros((90, 90, 90), np.uint8), brain, (45, 45, 45), 1300)
    assert kinds(find_flags(image, AFFINE, schema, norms, body_part="KNEE")) == {("elsewhere", brain)}
    assert not find_flags(image, AFFINE, schema, norms, body_part="HEAD")
    assert kinds(find_flags(np.zeros_like(image), AFFINE, schema, norms)) == {("empty", None)}


def test_norms_name_only_classes(schema, norms):
    names = {
        *norms.volumes_ml,
        *norms.heights_mm,
        *norms.one_piece,
        *(name for pair in norms.right_of for name in pair),
    }
    assert names <= set(schema.by_name)
    assert {region for regions in norms.body_parts.values() for region in regions} <= {
        entry.region for entry in schema.classes
    }


def test_norms_of_missing_classes_are_named_and_not_used(schema, norms):
    missing = {"liver", "spleen", "urinary_bladder"}
    smaller = Schema(tuple(entry for entry in schema.classes if entry.name not in missing))
    assert unused_norms(norms, smaller) == sorted(missing)
    assert unused_norms(norms, schema) == []
    kidney = schema.by_name["kidney_left"].id
    small = ball(np.zeros((60, 60, 60), np.uint8), kidney, (30, 30, 30), 10)
    assert kinds(find_flags(small, AFFINE, smaller, norms)) == {("volume", kidney)}


def test_norms_with_a_mistake_are_refused_naming_it(tmp_path, root):
    path = tmp_path / "plausibility.yaml"
    path.write_text(
        (root / "workflow" / "anatomy" / "plausibility.yaml").read_text().replace("level: T8", "level: T88")
    )
    with pytest.raises(ValueError, match=r"plausibility.yaml: KeyError: 'T88'"):
        load_norms(path)


def test_real_masks_have_no_flag_but_a_small_pancreas(shared, schema, norms):
    """False positives: two of four masks, both of the same patient."""
    tasks = {
        "nifti-seg/totalseg/example_seg.nii.gz": "total",
        "nifti-seg/totalseg/example_seg_fast.nii.gz": "total",
        "nifti-seg/totalseg/example_seg_mr.nii.gz": "total_mr",
        "dicom-ct/totalseg_example_seg_dicom.nii.gz": "total",
    }
    flags = []
    for name, task in tasks.items():
        image = nib.load(shared / name)
        classes = schema.native_lut(task)[np.asarray(image.dataobj).astype(np.uint8)]
        flags.append(kinds(find_flags(classes, image.affine, schema, norms)))
    pancreas = {("volume", schema.by_name["pancreas"].id)}
    assert flags == [pancreas, pancreas, set(), set()]


def test_check_masks_prints_each_flag_and_the_counts(root, tmp_path, capsys, schema):
    spleen = ball(np.zeros((60, 60, 60), np.uint8), schema.by_name["spleen"].id, (30, 30, 30), 10)
    nib.save(nib.Nifti1Image(spleen, AFFINE), tmp_path / "one.nii.gz")
    anatomy = root / "workflow" / "anatomy"
    arguments = ["--schema", anatomy / "classes.yaml", "--norms", anatomy / "plausibility.yaml", "--task", "total"]
    assert main(["check-masks", *map(str, arguments), "--masks", str(tmp_path / "one.nii.gz")]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("one.nii.gz: volume of spleen: 1") and first.endswith("plausible 41.3 to 429.0")
    assert last == "1 masks, 1 of them with a flag; 1 organs, 1 flags"


def test_check_masks_reads_folders_and_tables_as_the_stage(root, tmp_path, capsys):
    cut_organ = np.ones((9, 9, 9), np.uint8)
    (tmp_path / "given" / "classes").mkdir(parents=True)
    for name in ("spleen", "tumour"):
        nib.save(nib.Nifti1Image(cut_organ, AFFINE), tmp_path / "given" / "classes" / f"{name}.nii.gz")
    (tmp_path / "given" / "broken.nii.gz").write_bytes(b"broken")
    (tmp_path / "given" / "masks.csv").write_text("dicom;mask\n1;classes\n2;broken.nii.gz\n3;no.nii.gz\n4;classes\n")
    anatomy = root / "workflow" / "anatomy"
    arguments = ["--schema", anatomy / "classes.yaml", "--norms", anatomy / "plausibility.yaml", "--task", "total"]
    assert main(["check-masks", *map(str, arguments), "--masks", str(tmp_path / "given")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "masks.csv: line 4: names a mask that is not in the folder",
        "classes: 1 files of a class that the task does not have (tumour)",
        "broken.nii.gz: cannot be used: The given mask is no NIfTI file; other formats, such as NRRD, MetaImage and DICOM, are "
        "not read.",
        "2 masks, 0 of them with a flag, 1 cannot be used; 1 organs, 0 flags",
    ]
    table = str(tmp_path / "given" / "mask.csv")
    assert main(["check-masks", *map(str, arguments), "--masks", str(tmp_path / "given"), "--table", table]) == 1
    assert capsys.readouterr().err.startswith("refrad check-masks: mask.csv: no such table of masks")


@pytest.mark.parametrize("names", [None, ("liver", "spleen"), ("kidney_left", "kidney_right")])
def test_mask_with_left_and_right_exchanged_has_swapped_sides(body, schema, norms, names):
    """The flag needs no image: it also sees a volume and a mask that are exchanged together."""
    kept = body if names is None else np.where(np.isin(body, [schema.by_name[name].id for name in names]), body, 0)
    assert "sides" not in {flag for flag, _ in kinds(find_flags(kept, AFFINE, schema, norms))}
    assert "sides" in {flag for flag, _ in kinds(find_flags(kept[::-1], AFFINE, schema, norms))}
