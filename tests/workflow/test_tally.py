import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally, merge

FINGERPRINT = Fingerprint("volumes", 1, {}, {})


def test_counts_that_add_up_are_written(tmp_path):
    tally = Tally("volumes")
    tally.take(3)
    tally.use(2)
    tally.quarantine("slice_missing")
    tally.write(tmp_path / "metrics.json", FINGERPRINT)
    flow = json.loads((tmp_path / "metrics.json").read_text())["flow"]
    assert flow == {"taken": 3, "used": 2, "aside": {"slice_missing": 1}}


def test_a_silently_dropped_input_is_refused(tmp_path):
    tally = Tally("volumes")
    tally.take(3)
    tally.use(2)
    with pytest.raises(ValueError, match="volumes do not add up: 3 taken, 2 used, 0 aside"):
        tally.write(tmp_path / "metrics.json", FINGERPRINT)
    assert not (tmp_path / "metrics.json").exists()


counts = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9))


@given(
    st.lists(st.fixed_dictionaries({"made": counts, "tables": st.fixed_dictionaries({"class": counts})}), max_size=5)
)
def test_merging_shards_adds_every_count(shards):
    total = merge(shards)
    for key in "abc":
        assert total.get("made", {}).get(key, 0) == sum(shard["made"].get(key, 0) for shard in shards)
        merged = total.get("tables", {}).get("class", {}).get(key, 0)
        assert merged == sum(shard["tables"]["class"].get(key, 0) for shard in shards)
