import numpy as np
import pytest
from tests.factories import image_row

from refrad.commands.public import main as publish
from refrad.dataset.image_codec import decode_image, encode_sketch
from refrad.dataset.shard_io import write_shard
from refrad.dataset.training_overlap import find_training_overlap
from refrad.workflow.fingerprint import Fingerprint


@pytest.fixture
def write(tmp_path, schema):
    """The function that writes a file of images, by their numbers, splits and special columns."""

    def write(name, *images):
        rows = []
        for number, split, special in images:
            row = image_row(number, split, np.random.default_rng(number)) | {"patient": f"{name} {number}"}
            row["image_id"] = f"{name}:{row['image_id']}"
            rows.append(row | special)
        path = tmp_path / f"{name}.parquet"
        write_shard(path, rows, schema, Fingerprint("public", 1, {}, {}))
        return path

    return write


def test_different_images_and_patients_do_not_overlap(write):
    first, second = write("a", (0, "train", {}), (1, "test", {})), write("b", (2, "train", {}), (3, "test", {}))
    overlap = find_training_overlap([first, second], [first, second], 0.75)
    assert not overlap.training_ids and not overlap.test_ids and overlap.compared == 4


def test_same_picture_under_another_name_overlaps(write):
    ours, theirs = write("a", (0, "train", {}), (1, "train", {})), write("b", (0, "test", {}), (2, "test", {}))
    overlap = find_training_overlap([ours], [theirs], 0.75)
    assert overlap.training_ids == {"a:i0000"} and overlap.test_ids == {"b:i0000"} and not overlap.matched_by_name
    assert overlap.sentence().startswith(
        "1 test images are also images of the training (0 by name or patient, 1 by picture)"
    )


def test_patient_on_both_sides_overlaps_with_any_picture(write):
    same = {"patient": "p"}
    ours, theirs = write("a", (0, "train", same), (1, "train", {})), write("b", (2, "test", same))
    overlap = find_training_overlap([ours], [theirs], 0.75)
    assert overlap.training_ids == {"a:i0000"} and overlap.test_ids == overlap.matched_by_name == {"b:i0002"}


def test_image_in_two_splits_of_a_file_overlaps_by_name(write):
    leaking = write("a", (0, "train", {}), (0, "test", {}))
    overlap = find_training_overlap([leaking], [leaking], 0.75)
    assert overlap.training_ids == overlap.matched_by_name == {"a:i0000"}


def test_train_split_of_a_file_only_tested_is_ignored(write):
    ours, theirs = write("a", (0, "test", {})), write("b", (0, "train", {}), (1, "test", {}))
    assert not find_training_overlap([ours], [theirs], 0.75).test_ids


def test_sketches_of_shards_are_used_and_missing_ones_drawn(write):
    row = image_row(0, "train", np.random.default_rng(0))
    ours = write("a", (0, "train", {"sketch": encode_sketch(decode_image(row))}))
    assert find_training_overlap([ours], [write("b", (0, "test", {}))], 0.75).test_ids == {"b:i0000"}


def test_pictures_further_apart_than_allowed_are_different(write):
    ours, theirs = write("a", (0, "train", {})), write("b", (1, "test", {}))
    assert not find_training_overlap([ours], [theirs], 0.75).test_ids
    assert (
        not find_training_overlap([], [theirs], 0.75).test_ids and find_training_overlap([ours], [], 0.75).compared == 1
    )


def test_original_split_of_vqa_rad_overlaps(shared, tmp_path, root):
    """The real pictures: with the leaks kept, each shared image is found; with them dropped, none is left."""
    (tmp_path / "images").symlink_to(shared / "vqa-rad" / "images")
    for name in ("trainset.json", "testset.json"):
        (tmp_path / name).symlink_to(shared / "vqa-rad" / "original" / name)
    overlap = {}
    for leaking in ("keep", "drop"):
        out = tmp_path / f"{leaking}.parquet"
        publish(
            folder=tmp_path, out=out, size=64, leaking=leaking, schema=root / "workflow" / "anatomy" / "classes.yaml"
        )
        overlap[leaking] = find_training_overlap([out], [out], 0.75)
    assert len(overlap["keep"].matched_by_name) > 100 and overlap["keep"].test_ids == overlap["keep"].matched_by_name
    assert not overlap["drop"].matched_by_name
