"""Counts of the rows of public sets, and the refusal of scores on reports that were made from masks."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.config.public_sets import PUBLIC_SETS
from refrad.core.tables import write_frame
from refrad.core.types import SPLITS
from refrad.dataset.set_origins import count_sets, refuse_generated_reports, sets_of_images
from refrad.dataset.shard_io import read_columns, read_rows, write_shard
from refrad.workflow.fingerprint import Fingerprint


def test_rows_are_counted_by_set_and_split(images, schema, tmp_path):
    rows = [row | {"public_set": "merlin" if row["split"] == "test" else None} for row in read_rows([images])]
    write_shard(tmp_path / "a.parquet", rows, schema, Fingerprint("shards", 6, {}, {}))
    counts = count_sets([tmp_path / "a.parquet"] * 2)
    assert counts == Counter({(None, "train"): 48, (None, "validation"): 8, ("merlin", "test"): 12})


def test_file_of_an_earlier_release_is_the_sites_own(images, tmp_path):
    write_frame(tmp_path / "old.parquet", read_columns(images, ["image_id", "split"]))
    assert count_sets([tmp_path / "old.parquet"]) == {(None, "train"): 24, (None, "validation"): 4, (None, "test"): 6}


def test_images_of_sets_are_known_by_their_id(images, schema, tmp_path):
    rows = [row | {"public_set": "merlin" if row["split"] == "test" else None} for row in read_rows([images])]
    write_shard(tmp_path / "a.parquet", rows, schema, Fingerprint("shards", 6, {}, {}))
    write_frame(tmp_path / "old.parquet", read_columns(images, ["image_id", "split"]))
    tested = {row["image_id"] for row in rows if row["split"] == "test"}
    assert sets_of_images([tmp_path / "a.parquet", tmp_path / "old.parquet"]) == dict.fromkeys(tested, "merlin")


@given(st.dictionaries(st.tuples(st.sampled_from([None, *PUBLIC_SETS]), st.sampled_from(SPLITS)), st.integers(0, 9)))
def test_only_reports_made_from_masks_must_train(counts):
    held_out = counts.get(("abdomenatlas", "validation"), 0) + counts.get(("abdomenatlas", "test"), 0)
    if not held_out:
        refuse_generated_reports(counts)
    else:
        with pytest.raises(ValueError, match=f"{held_out} images of abdomenatlas are in validation or test"):
            refuse_generated_reports(counts)
