import errno
import os
import threading

import pytest
import torch
from torch import nn

from refrad.training import checkpoint
from refrad.training.checkpoint import Checkpoints
from refrad.training.distributed import SINGLE_PROCESS
from refrad.training.state_files import StateFileError, write_file
from refrad.training.state_writer import SaveSchedule, StateWriter, snapshot


@pytest.fixture
def saved(tmp_path):
    return Checkpoints(tmp_path / "work", "one", keep=9)


def names(saved):
    return sorted(path.stem for path in saved.folder.glob("*.pt"))


def name(kind, step):
    return f"{kind}-{step:09d}"


def test_snapshot_is_a_copy_that_keeps_ties(tmp_path):
    model = nn.ModuleDict({"words": nn.Embedding(50, 8), "head": nn.Linear(8, 50, bias=False)})
    model["head"].weight = model["words"].weight
    optimizer = torch.optim.AdamW(model.parameters(), 0.1, fused=True)

    def step():
        model["words"](torch.tensor([1, 2])).sum().backward()
        optimizer.step()

    step()
    live = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    copied = snapshot(SINGLE_PROCESS, live)
    before = {key: tensor.clone() for key, tensor in copied["model"].items()}
    moments = copied["optimizer"]["state"][0]["exp_avg"].clone()
    step()
    assert all(copied["model"][key].equal(tensor) for key, tensor in before.items())
    assert copied["optimizer"]["state"][0]["exp_avg"].equal(moments) and copied["optimizer"]["state"][0]["step"] == 1
    assert live["optimizer"]["state"][0]["step"] == 2  # without a copy it moves on
    assert copied["model"]["words.weight"] is copied["model"]["head.weight"]
    torch.save(copied["model"], tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 1.9 * 50 * 8 * 4 + 1500  # once


def test_copy_without_memory_ends_with_one_line(monkeypatch):
    def fail(tensor, *args, **kwargs):  # noqa: ARG001
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(torch.Tensor, "to", fail)
    with pytest.raises(StateFileError, match="no memory for a copy of the training's state; all saved states are kept"):
        snapshot(SINGLE_PROCESS, {"w": torch.zeros(3)})


@pytest.mark.parametrize(("blocked", "share", "next_at"), [(0.5, 0.02, 120), (30.0, 0.02, 1500), (30.0, 0.1, 300)])
def test_next_state_comes_after_its_share_of_the_time(blocked, share, next_at):
    schedule = SaveSchedule(None, 120, share)
    assert [schedule.is_due_by_time(now) for now in (119, 120)] == [False, True]
    schedule.add(1000, blocked)  # blocked / share: 25 s, less than 120; 1500 s; 300 s
    assert [schedule.is_due_by_time(1000 + next_at + late) for late in (-1, 0)] == [False, True]


def test_states_by_steps_come_however_long_they_take():
    schedule = SaveSchedule(3, None, 0.02)
    schedule.add(0, 1e6)
    assert [step for step in range(1, 8) if schedule.is_due_by_steps(step)] == [3, 6]
    assert not schedule.is_due_by_time(1e9)


def test_slow_disk_takes_at_most_its_share_of_the_training(saved):
    class FakeClock:
        now = 0.0

    def take():
        FakeClock.now += 40  # as long as the copy, or the write before it, stops the training
        return {"step": int(FakeClock.now)}

    schedule, stopped = SaveSchedule(None, 60, 0.02), 0.0
    with StateWriter(saved, clock=lambda: FakeClock.now) as writer:
        for _ in range(19_999):
            FakeClock.now += 2
            if schedule.is_due_by_time(FakeClock.now):
                writer.write(take)
                stopped += writer.blocked
                schedule.add(FakeClock.now, writer.blocked)
    # 40 s / 0.02 = 2000 s between two states: the first at 60 s, then each 2040 s of the 40,000 s
    assert stopped == 40 * 20 and (stopped - 40) / FakeClock.now <= 0.02


@pytest.fixture
def slow(monkeypatch):
    """A disk whose writes end when the test says so."""
    gates = {"began": threading.Semaphore(0), "may_end": threading.Semaphore(0), "at_once": 0, "most": 0}

    def write(path, value):
        gates["at_once"] += 1
        gates["most"] = max(gates["most"], gates["at_once"])
        gates["began"].release()
        assert gates["may_end"].acquire(timeout=60)
        write_file(path, value)
        gates["at_once"] -= 1

    monkeypatch.setattr(checkpoint, "write_file", write)
    return gates


def test_training_goes_on_while_a_state_is_written(saved, slow):
    with StateWriter(saved) as writer:
        writer.write(lambda: {"step": 1})
        assert slow["began"].acquire(timeout=60) and writer.is_busy and names(saved) == []
        slow["may_end"].release()
        writer.wait()
        assert not writer.is_busy and names(saved) == [name("step", 1)]


def test_one_state_is_written_at_a_time_and_the_end_waits(saved, slow):
    taken = []

    def take():
        taken.append(slow["at_once"])  # the copy is made after the write before has ended: one copy is in memory
        return {"step": len(taken)}

    for _ in range(3):
        slow["may_end"].release()
    with StateWriter(saved) as writer:
        for _ in range(3):
            writer.write(take)
    assert taken == [0, 0, 0] and slow["most"] == 1
    assert names(saved) == [name("step", step) for step in (1, 2, 3)]


def fail_with(number):
    def fail(path, value):  # noqa: ARG001
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_failed_write_is_logged_and_made_up_for(saved, monkeypatch, caplog, number):
    with StateWriter(saved) as writer:
        writer.write(lambda: {"step": 1})
        writer.wait()
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "write_file", fail_with(number))
            writer.add_best(2, {"w": torch.tensor(2)})
            writer.write(lambda: {"step": 2})
            writer.wait()
        assert names(saved) == [name("step", 1)]
        assert f"a state could not be written ({os.strerror(number)}); those before it are kept" in caplog.text
        writer.write(lambda: {"step": 3})
    assert names(saved) == [name("best", 2), name("step", 1), name("step", 3)]


def test_last_state_that_cannot_be_written_ends_with_one_line(saved, monkeypatch):
    monkeypatch.setattr(checkpoint, "write_file", fail_with(errno.ENOSPC))
    words = r"last state .* could not be written \(No space left on device\); those before it are kept"
    with pytest.raises(ValueError, match=words), StateWriter(saved) as writer:
        writer.write(lambda: {"step": 1})


def test_error_of_the_training_is_not_hidden_and_the_write_ends(saved, slow):
    slow["may_end"].release()

    def interrupted():
        with StateWriter(saved) as writer:
            writer.write(lambda: {"step": 1})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(saved) == [name("step", 1)]
