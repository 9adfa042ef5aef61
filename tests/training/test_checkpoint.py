import errno
import logging
import os
import pickle

import pytest
import torch

from refrad.training import state_files
from refrad.training.checkpoint import Checkpoints
from refrad.training.state_files import StateFileError


@pytest.fixture
def saved(tmp_path):
    return Checkpoints(tmp_path / "work", "this training", keep=2)


def names(saved):
    return sorted(path.name for path in saved.folder.glob("*.pt"))


def test_the_newest_state_is_found_and_old_ones_go(saved):
    for step in (3, 7, 20):
        saved.save({"step": step, "x": torch.tensor(step)})
    assert names(saved) == ["step-000000007.pt", "step-000000020.pt"]
    assert saved.newest()["x"] == 20 == saved.newest()["step"]


def test_without_states_there_is_none(saved):
    assert saved.newest() is None and saved.best() is None


def test_a_damaged_state_is_passed_over(saved):
    for step in (1, 2):
        saved.save({"step": step, "x": torch.arange(1000)})
    file = saved.folder / "step-000000002.pt"
    file.write_bytes(file.read_bytes()[:700])
    assert saved.newest()["step"] == 1
    assert names(saved) == ["step-000000001.pt"]


def test_mapped_state_is_the_same_and_its_file_stays_as_it_is(saved):
    values = torch.arange(100_000, dtype=torch.float32)
    saved.save({"step": 1, "x": values})
    state = saved.newest(mapped=True)
    assert state["x"].equal(values)
    state["x"].add_(1)  # as an optimizer would
    assert saved.load(1)["x"].equal(values) and saved.load(1, mapped=True)["x"].equal(values)
    (saved.folder / "step-000000001.pt").unlink()
    assert state["x"].equal(values + 1)


def spoil(file, how):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(
        {"flipped": bytes(content), "truncated": content[:-50], "empty": b"", "zeros": bytes(len(content))}[how]
    )


@pytest.mark.parametrize("how", ["flipped", "truncated", "empty", "zeros"])
def test_damage_of_any_kind_goes_back_to_the_state_before(saved, caplog, how):
    for step in (1, 2):
        saved.save({"step": step, "x": torch.arange(1000)})
    spoil(saved.folder / "step-000000002.pt", how)
    with pytest.raises(ValueError, match=r"step-000000002.pt is damaged"):
        saved.load(2)
    assert saved.newest()["step"] == 1
    assert "step-000000002.pt is damaged" in caplog.text and "goes back to the state before" in caplog.text
    spoil(saved.folder / "step-000000001.pt", how)
    assert saved.newest() is None and "goes back to the start" in caplog.text
    assert not list(saved.folder.glob("*.digest"))


def test_state_with_the_digest_of_another_is_passed_over(saved):
    for step in (1, 2):
        saved.save({"step": step, "x": torch.arange(1000)})
    one, two = (saved.folder / f"step-00000000{step}.pt.digest" for step in (1, 2))
    two.write_bytes(one.read_bytes())
    assert saved.newest()["step"] == 1


def test_state_of_an_earlier_release_has_no_digest_and_is_used(saved):
    saved.save({"step": 1})
    (saved.folder / "step-000000001.pt.digest").unlink()
    assert saved.newest()["step"] == 1


@pytest.mark.parametrize("how", ["flipped", "truncated", "empty", "missing"])
def test_state_without_sound_best_weights_is_passed_over(saved, how):
    for step in (1, 2):
        saved.save_best(step, {"w": torch.full((1000,), step)})
        saved.save({"step": step, "trained": {"best_step": step}})
    best = saved.folder / "best-000000002.pt"
    if how == "missing":
        best.unlink()
    else:
        spoil(best, how)
        with pytest.raises(ValueError, match=r"best-000000002.pt is damaged"):
            saved.best()
    assert saved.newest()["step"] == 1
    assert saved.best()["w"][0] == 1
    aside = saved.folder.with_name("work.aside-1")
    assert torch.load(aside / "step-000000002.pt")["step"] == 2  # it is whole, so it is not deleted


@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_only_state_without_sound_best_weights_stops(saved, how):
    saved.save_best(2, {"w": torch.full((1000,), 2.0)})
    saved.save({"step": 2, "trained": {"best_step": 2}})
    best = saved.folder / "best-000000002.pt"
    best.unlink() if how == "missing" else spoil(best, how)
    with pytest.raises(
        StateFileError, match=r"step-000000002.pt in work is whole, but best-000000002.pt is .*weights to last"
    ):
        saved.newest()
    assert names(saved) == ["step-000000002.pt"]
    assert Checkpoints(saved.folder, "this training", weights="last").newest()["step"] == 2


def test_damaged_identity_starts_anew(saved):
    saved.save({"step": 1})
    (saved.folder / "identity").write_bytes(b"\xff\xfe")
    assert Checkpoints(saved.folder, "this training").newest() is None


def test_the_best_weights_of_every_kept_state_are_kept(saved):
    for step, better in [(1, True), (2, False), (3, True), (4, False), (5, False)]:
        if better:
            saved.save_best(step, {"w": torch.tensor(step)})
        saved.save({"step": step})
        kept = [int(name[5:14]) for name in names(saved) if name.startswith("best")]
        assert kept == {1: [1], 2: [1], 3: [1, 3], 4: [3], 5: [3]}[step]
    assert saved.best() == {"w": torch.tensor(3)}


def test_best_weights_of_steps_to_be_done_again_are_forgotten(saved):
    saved.save_best(1, {"w": torch.tensor(1)})
    saved.save({"step": 1})
    saved.save_best(2, {"w": torch.tensor(2)})  # killed before its state
    saved.newest()
    assert saved.best() == {"w": torch.tensor(1)}


def test_states_of_another_training_are_moved_aside(saved, caplog):
    saved.save({"step": 1})
    assert Checkpoints(saved.folder, "this training").newest() is not None
    for number, identity in enumerate(["another", "a third"], 1):
        other = Checkpoints(saved.folder, identity)
        assert other.newest() is None and names(other) == []
        other.save({"step": 10 * number})
    first, second = (saved.folder.with_name(f"work.aside-{number}") for number in (1, 2))
    assert [torch.load(first / "step-000000001.pt"), torch.load(second / "step-000000010.pt")] == [
        {"step": 1},
        {"step": 10},
    ]
    assert f"moved to {second}" in caplog.text and "0.0 GB of former states lie aside, in" in caplog.text


def test_states_moved_aside_come_back_with_their_training(saved, caplog):
    saved.save({"step": 7})
    Checkpoints(saved.folder, "another").save({"step": 1})
    caplog.set_level(logging.INFO)
    assert Checkpoints(saved.folder, "this training").newest()["step"] == 7
    assert "work.aside-1: they are taken back" in caplog.text
    assert Checkpoints(saved.folder, "another").newest()["step"] == 1


def test_folder_without_states_is_reused(saved):
    Checkpoints(saved.folder, "another")
    assert [path.name for path in saved.folder.parent.iterdir()] == ["work"]


def test_other_trainings_of_similar_names_are_no_states_aside(tmp_path):
    for name in ("x.aside-1.work", "xy.aside-4.work", "x.aside-2.work"):
        Checkpoints(tmp_path / name, "of another name").save({"step": 1})
    Checkpoints(tmp_path / "x.work", "one").save({"step": 1})
    Checkpoints(tmp_path / "x.work", "two")
    assert (tmp_path / "x.aside-3.work" / "step-000000001.pt").exists()


FAILURES = {
    "memory": (MemoryError(), "out of memory"),
    "torch's memory": (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        "memory",
    ),
    "input/output": (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
    "stale handle": (OSError(errno.ESTALE, os.strerror(errno.ESTALE)), "Stale file handle"),
    "permission": (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "Permission denied"),
    "another torch": (pickle.UnpicklingError("Unsupported class"), "its checksum is right"),
    "archive of another torch": (RuntimeError("PytorchStreamReader failed"), "its checksum is right"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("function", ["torch.load", "is_sound"])
def test_state_that_cannot_be_read_stops_and_keeps_all(saved, monkeypatch, failure, function):
    error, reason = FAILURES[failure]
    for step in (1, 2):
        saved.save_best(step, {"w": torch.tensor(step)})
        saved.save({"step": step, "trained": {"best_step": step}})
    before = {path.name: path.read_bytes() for path in saved.folder.iterdir()}

    def fail(*args, **kwargs):  # noqa: ARG001
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", fail) if function == "torch.load" else patch.setattr(state_files, "is_sound", fail)
        with pytest.raises(StateFileError) as stopped:
            Checkpoints(saved.folder, "this training").newest()
    message = str(stopped.value)
    assert "work/step-000000002.pt" in message and reason in message and "all saved states are kept: " in message
    assert "\n" not in message
    assert {path.name: path.read_bytes() for path in saved.folder.iterdir()} == before
    assert saved.newest()["step"] == 2


def test_best_weights_that_cannot_be_read_stop_and_keep_all(saved, monkeypatch):
    saved.save_best(1, {"w": torch.tensor(1)})
    saved.save({"step": 1, "trained": {"best_step": 1}})
    plain = state_files.is_sound

    def fail(path):
        if path.name.startswith("best"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return plain(path)

    with monkeypatch.context() as patch:
        patch.setattr(state_files, "is_sound", fail)
        with pytest.raises(StateFileError, match=r"best-000000001.pt cannot be read \(Input/output error\)"):
            saved.newest()
    assert names(saved) == ["best-000000001.pt", "step-000000001.pt"]


@pytest.mark.parametrize("how", ["truncated", "empty", "zeros"])
def test_unreadable_state_without_a_checksum_is_kept(saved, how):
    for step in (1, 2):
        saved.save({"step": step})
    (saved.folder / "step-000000002.pt.digest").unlink()
    spoil(saved.folder / "step-000000002.pt", how)
    with pytest.raises(StateFileError, match=r"no checksum\); all saved states are kept: restore it from a backup"):
        saved.newest()
    assert names(saved) == ["step-000000001.pt", "step-000000002.pt"]


def test_state_with_a_damaged_checksum_file_is_kept(saved):
    for step in (1, 2):
        saved.save({"step": step})
    spoil(saved.folder / "step-000000002.pt.digest", "truncated")
    with pytest.raises(StateFileError, match=r"step-000000002.pt.digest, its checksum, is damaged"):
        saved.newest()
    assert names(saved) == ["step-000000001.pt", "step-000000002.pt"]


def test_folder_that_cannot_be_listed_does_not_start_anew(saved, monkeypatch):
    saved.save({"step": 1})

    def fail(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", fail)
        with pytest.raises(StateFileError, match="work: Permission denied; all saved states are kept"):
            saved.newest()
    assert saved.newest()["step"] == 1


def test_torn_state_that_cannot_be_removed_stops(saved, monkeypatch):
    saved.save({"step": 1})
    spoil(saved.folder / "step-000000001.pt", "empty")

    def fail(path, missing_ok=False):  # noqa: ARG001
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(type(saved.folder), "unlink", fail)
        with pytest.raises(StateFileError, match="work: Read-only file system; all saved states are kept"):
            saved.newest()


def test_failed_write_keeps_the_states_before(saved, monkeypatch):
    for step in (1, 2):
        saved.save({"step": step})

    def fail(*args):  # noqa: ARG001
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fail)
        with pytest.raises(OSError, match="No space"):
            saved.save({"step": 3})
    assert names(saved) == ["step-000000001.pt", "step-000000002.pt"] and saved.newest()["step"] == 2


def test_what_a_killed_process_left_half_written_goes(saved):
    (saved.folder / ".123.step-000000001.pt").write_bytes(b"half")
    assert Checkpoints(saved.folder, "this training").newest() is None
    assert not list(saved.folder.glob(".*.pt"))
