"""The saved states of an unfinished training: a crash never damages one, and old ones are removed."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from refrad.core.files import atomic
from refrad.core.manifests import SIDECAR, is_sound, sidecar_of, write_sidecar
from refrad.training.distributed import DistributedContext
from refrad.training.state import SavedState, TrainState

__all__ = ["Checkpoints", "load_final_weights", "newest_state"]

log = logging.getLogger(__name__)


class Checkpoints:
    """A folder with the states of one training, `step-*.pt`, and its best weights so far, `best-*.pt`.

    Args:
        folder: made if it is missing.
        identity: text that identifies the training. States of another training in the folder are removed.
        keep: number of the newest states that stay.
        is_main: whether this process writes; in the other processes of a training, saving does nothing.
    """

    def __init__(self, folder: Path, identity: str, keep: int = 2, is_main: bool = True) -> None:
        self.folder, self.keep, self.is_main = folder, keep, is_main
        if not is_main:
            return
        file = folder / "identity"
        stored_identity = file.read_bytes() if file.exists() else None
        if stored_identity != identity.encode():
            if stored_identity is not None:
                log.info("the states in the work folder are of another training: starting anew")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            with atomic(file) as temporary:
                temporary.write_text(identity, encoding="utf-8")
        # of a process that was killed while it wrote
        for left in [*folder.glob(".*.pt"), *folder.glob(f".*.pt{SIDECAR}")]:
            left.unlink()

    def save(self, state: SavedState) -> None:
        """Write a state, and remove all but the newest `keep` and weights that are the best of none of these."""
        if not self.is_main:
            return
        self._write(self.folder / f"step-{state['step']:09d}.pt", state)
        files = self._files("step")
        for old in files[: -self.keep]:
            _remove(old)
        bests = {self._number(file): file for file in self._files("best")}
        needed = {
            max((number for number in bests if number <= self._number(file)), default=0) for file in files[-self.keep :]
        }
        for number in bests.keys() - needed:
            _remove(bests[number])

    def load(self, step: int) -> SavedState:
        """The state of a step.

        Raises:
            ValueError: if its file is damaged.
        """
        state: SavedState = _load(self.folder / f"step-{step:09d}.pt")
        return state

    def newest(self) -> SavedState | None:
        """The newest undamaged state whose best weights are undamaged too, or None. Damaged files are removed."""
        for file in reversed(self._files("step")):
            try:
                state = self.load(self._number(file))
                self._verify_best(state)
            except ValueError as error:
                former = "the state before" if file != self._files("step")[0] else "the start"
                log.warning("%s: the training goes back to %s", error, former)
                _remove(file)
                continue
            for best in self._files("best"):  # of steps that will be done again
                if self._number(best) > state["step"]:
                    _remove(best)
            return state
        for best in self._files("best"):
            _remove(best)
        return None

    def _verify_best(self, state: SavedState) -> None:
        """Raise ValueError, and remove the file, if the best weights of a state are missing or damaged."""
        step = state["trained"]["best_step"] if "trained" in state else None
        if step is None:
            return
        file = self.folder / f"best-{step:09d}.pt"
        if not file.exists():
            raise ValueError(f"{file.name} is missing")
        if is_sound(file) is False:
            _remove(file)
            raise ValueError(f"{file.name} is damaged")

    def save_best(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Write weights [name: tensor of its shape] that are better than all before; `save` of the same step must follow."""
        if self.is_main:
            self._write(self.folder / f"best-{step:09d}.pt", dict(weights))

    def best(self) -> dict[str, Tensor] | None:
        """The newest best weights as `save_best` got them, on the CPU, or None.

        Raises:
            ValueError: if their file is damaged; the next start of the training then goes back to a state before it.
        """
        files = self._files("best")
        weights: dict[str, Tensor] | None = _load(files[-1]) if files else None
        return weights

    def clear(self) -> None:
        """Remove the folder, after the training has ended and its result is elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self, kind: str) -> list[Path]:
        return sorted(self.folder.glob(f"{kind}-*.pt"))

    @staticmethod
    def _number(file: Path) -> int:
        return int(file.stem.split("-")[1])

    @staticmethod
    def _write(path: Path, value: SavedState | dict[str, Tensor]) -> None:
        """Write a file, after its checksum: torch verifies none when it reads."""
        with atomic(path) as temporary:
            torch.save(value, temporary)
            write_sidecar(path, temporary)


def _load(path: Path) -> Any:
    """The content of a file that `Checkpoints` wrote.

    Raises:
        ValueError: if it is damaged.
    """
    if is_sound(path) is False:
        raise ValueError(f"{path.name} is damaged")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:  # of the storage, which may recover
        raise
    except Exception as error:  # torch raises what its unpickler and its zip reader raise
        raise ValueError(f"{path.name} is damaged ({type(error).__name__})") from None


def _remove(path: Path) -> None:
    """Remove a file with its checksum."""
    path.unlink(missing_ok=True)
    sidecar_of(path).unlink(missing_ok=True)


def newest_state(saved: Checkpoints | None, context: DistributedContext) -> SavedState | None:
    """The newest saved state, the same in all processes, or None."""
    if saved is None:
        return None
    state = saved.newest() if context.is_main else None
    step = context.broadcast(-1 if state is None else state["step"])
    return saved.load(int(step)) if step >= 0 and state is None else state


def load_final_weights(model: nn.Module, saved: Checkpoints, weights: str, state: TrainState) -> str:
    """Load the weights of the result, "best" or "last", into the model; returns their description for the account."""
    if weights == "best" and (best := saved.best()) is not None:
        model.load_state_dict(best)
        return f"best: step {state.best_step}"
    return "last"
