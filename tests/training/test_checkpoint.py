import pytest
import torch

from refrad.training.checkpoint import Checkpoints


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


def test_states_of_another_training_go(saved):
    saved.save({"step": 1})
    assert Checkpoints(saved.folder, "this training").newest() is not None
    assert Checkpoints(saved.folder, "another").newest() is None
    assert names(saved) == []


def test_what_a_killed_process_left_half_written_goes(saved):
    (saved.folder / ".123.step-000000001.pt").write_bytes(b"half")
    assert Checkpoints(saved.folder, "this training").newest() is None
    assert not list(saved.folder.glob(".*.pt"))
