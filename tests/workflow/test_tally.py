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
shard_metrics = st.fixed_dictionaries(
    {
        "stage": st.just("volumes"),
        "fingerprint": st.just(FINGERPRINT.text),
        "unit": st.just("volumes"),
        "flow": st.fixed_dictionaries({"taken": st.integers(0, 9), "used": st.integers(0, 9), "aside": counts}),
        "made": counts,
        "tables": st.dictionaries(st.sampled_from(["class", "modality"]), counts),
        "seconds": counts,
    }
)


@given(st.lists(shard_metrics, min_size=1, max_size=5))
def test_merging_shards_adds_every_count(shards):
    total = merge(shards)
    assert (total["stage"], total["unit"], total["fingerprint"]) == ("volumes", "volumes", FINGERPRINT.text)
    for key in ("taken", "used"):
        assert total["flow"][key] == sum(shard["flow"][key] for shard in shards)
    parts = [(total["flow"]["aside"], [shard["flow"]["aside"] for shard in shards])]
    parts += [(total[name], [shard[name] for shard in shards]) for name in ("made", "seconds")]
    for table in ("class", "modality"):
        parts.append((total["tables"].get(table, {}), [shard["tables"].get(table, {}) for shard in shards]))
    for merged, numbers in parts:
        assert merged == {key: sum(row.get(key, 0) for row in numbers) for row in numbers for key in row}


def test_merging_no_metrics_is_refused():
    with pytest.raises(ValueError, match="no metrics to merge"):
        merge([])
