import operator
import os
import time

import pytest

from refrad.core.sandbox import Limits, run_sandboxed

ROOMY = Limits(memory=4 * 2**30, seconds=20)


def test_results_come_once_for_any_number_of_workers():
    for workers in (1, 3):
        assert sorted(run_sandboxed(abs, range(-200, 0), ROOMY, workers)) == [(n, -n) for n in range(-200, 0)]


def test_items_are_taken_only_as_needed():
    endless = iter(range(10**12))
    answers = run_sandboxed(abs, endless, ROOMY)
    assert next(answers) == (0, 0)
    answers.close()
    assert next(endless) < 1000


def test_item_that_hangs_is_given_up_alone():
    start = time.monotonic()
    answers = dict(run_sandboxed(time.sleep, [0, 600, 0.001], Limits(4 * 2**30, seconds=1)))
    assert time.monotonic() - start < 300
    assert set(answers) == {0, 600, 0.001}


def test_item_that_ends_the_process_affects_no_other():
    answers = run_sandboxed(os._exit, [3, 0], ROOMY)
    assert sorted(answers) == [(0, None), (3, None)]


def test_item_beyond_the_memory_limit_has_no_result():
    answers = dict(run_sandboxed(bytes, [10, 10**11, 20], ROOMY))
    assert answers == {10: bytes(10), 10**11: None, 20: bytes(20)}


def test_function_error_ends_the_run():
    with pytest.raises(ValueError, match="invalid literal"):
        list(run_sandboxed(int, ["1", "x"], ROOMY))


def test_workers_end_with_the_run():
    answers = run_sandboxed(operator.call, [os.getpid, os.getpid], ROOMY)
    pid = next(answers)[1]
    answers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


class Deadly:
    """A function that ends each process that it travels to."""

    def __call__(self, item):
        return item

    def __reduce__(self):
        return os._exit, (3,)


def test_worker_that_cannot_start_raises():
    with pytest.raises(RuntimeError, match="cannot start"):
        list(run_sandboxed(Deadly(), [1], ROOMY))
