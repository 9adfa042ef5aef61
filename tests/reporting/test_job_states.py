from hypothesis import given
from hypothesis import strategies as st

from refrad.reporting.job_states import JobSegment, job_segments

STATES = ("done", "failed", "waiting")


def test_adjacent_jobs_of_one_state_are_one_segment():
    left = [{"name": "a/10", "state": "failed"}, {"name": "b/0", "state": "waiting"}]
    assert job_segments(["a/9", "a/8"], left) == [
        JobSegment("done", 2, "a/8 to 9: done"),
        JobSegment("failed", 1, "a/10: failed"),
        JobSegment("waiting", 1, "b/0: waiting"),
    ]


def test_single_job_of_a_stage_needs_no_name():
    assert job_segments([""], []) == [JobSegment("done", 1, "done")]


@given(st.dictionaries(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), st.sampled_from(STATES)))
def test_each_job_is_in_one_segment_of_its_state(jobs):
    names = {f"{delivery}/{shard}": state for (delivery, shard), state in jobs.items()}
    done = [name for name, state in names.items() if state == "done"]
    segments = job_segments(done, [{"name": n, "state": s} for n, s in names.items() if s != "done"])
    for state in STATES:
        assert sum(segment.jobs for segment in segments if segment.state == state) == list(names.values()).count(state)
