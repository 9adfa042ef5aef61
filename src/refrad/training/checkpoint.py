"""The saved states of an unfinished training: a crash never damages one, and only torn and outdated ones are removed."""

import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from refrad.training.distributed import DistributedContext
from refrad.training.set_aside import claim_folder, move_aside
from refrad.training.state import SavedState, TrainState, load_weights
from refrad.training.state_files import (
    StateFileError,
    TornFileError,
    read_file,
    refusing_storage,
    remove_file,
    verify_file,
    write_file,
)

__all__ = ["Checkpoints", "load_final_weights", "newest_state"]

log = logging.getLogger(__name__)


class Checkpoints:
    """A folder with the states of one training, `step-*.pt`, and its best weights so far, `best-*.pt`.

    Args:
        folder: made if it is missing.
        identity: text that identifies the training. States of another training in the folder are moved aside.
        keep: number of the newest states that stay.
        is_main: whether this process writes; in the other processes of a training, saving does nothing.
        weights: "best": best weights are kept, and a state counts only together with them. "last": they are not.

    Raises:
        StateFileError: if the storage refuses to move former states aside.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        keep: int = 2,
        is_main: bool = True,
        weights: Literal["best", "last"] = "best",
    ) -> None:
        self.folder, self.keep, self.is_main, self.keeps_best = folder, keep, is_main, weights == "best"
        if not is_main:
            return
        claim_folder(folder, identity)

    def save(self, state: SavedState) -> None:
        """Write a state, and remove all but the newest `keep` and weights that are the best of none of these."""
        if not self.is_main:
            return
        write_file(self.folder / f"step-{state['step']:09d}.pt", state)
        files = self._files("step")
        for old in files[: -self.keep]:
            remove_file(old)
        bests = {self._number(file): file for file in self._files("best")}
        needed = {
            max((number for number in bests if number <= self._number(file)), default=0) for file in files[-self.keep :]
        }
        for number in bests.keys() - needed:
            remove_file(bests[number])

    def load(self, step: int, mapped: bool = False) -> SavedState:
        """The state of a step; `mapped` as for `read_file`.

        Raises:
            TornFileError: if its file is damaged.
            StateFileError: if it cannot be read for another reason.
        """
        state: SavedState = read_file(self.folder / f"step-{step:09d}.pt", mapped)
        return state

    def newest(self, mapped: bool = False) -> SavedState | None:
        """The newest undamaged state whose best weights are undamaged too, or None; `mapped` as for `read_file`.

        Only files that are provably torn are removed, and then best weights of steps that will be done again. A state that is
        whole, but without its best weights, is moved aside.

        Raises:
            StateFileError: if a file cannot be read for another reason than damage, or a state is whole and its best weights are
                not, and there is none before it. All states are kept.
        """
        with refusing_storage(self.folder):
            return self._newest(mapped)

    def _newest(self, mapped: bool) -> SavedState | None:
        whole: list[tuple[Path, str]] = []  # states without their best weights, and what is wrong with these
        files = self._files("step")
        for file in reversed(files):
            try:
                state = self.load(self._number(file), mapped)
            except TornFileError as error:
                former = "the start" if file == files[0] and not whole else "the state before"
                log.warning("%s: the training goes back to %s", error, former)
                remove_file(file)
                continue
            if fault := self._fault_of_best(state):
                whole.append((file, fault))
                continue
            if whole:
                target = move_aside(self.folder, [path for path, _ in whole])
                reasons = "; ".join(reason for _, reason in whole)
                log.warning(
                    "%s: the training goes back to the state before; those after it are moved to %s", reasons, target
                )
            for best in self._files("best"):
                if self._number(best) > state["step"]:
                    remove_file(best)
            return state
        if whole:
            file, fault = whole[0]
            raise StateFileError(
                f"{file.name} in {self.folder.name} is whole, but {fault}, and no state before it can replace it: set "
                "checkpoints.weights to last to go on from it, or move it elsewhere to start anew"
            )
        if left := self._files("best"):
            log.warning("best weights without a state are moved to %s", move_aside(self.folder, left))
        return None

    def _fault_of_best(self, state: SavedState) -> str | None:
        """What is wrong with the best weights of a state, or None. Torn ones are removed."""
        step = state["trained"]["best_step"] if "trained" in state else None
        if step is None or not self.keeps_best:
            return None
        file = self.folder / f"best-{step:09d}.pt"
        if file not in self._files("best"):
            return f"{file.name} is missing"
        try:
            verify_file(file)
        except TornFileError as error:
            remove_file(file)
            return str(error)
        return None

    def save_best(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Write weights [name: tensor of its shape] that are better than all before; `save` of the same step must follow."""
        if self.is_main and self.keeps_best:
            write_file(self.folder / f"best-{step:09d}.pt", dict(weights))

    def best(self) -> dict[str, Tensor] | None:
        """The newest best weights as `save_best` got them, on the CPU, or None.

        Raises:
            TornFileError: if their file is damaged; the next start of the training then goes back to a state before it.
            StateFileError: if it cannot be read for another reason.
        """
        files = self._files("best")
        weights: dict[str, Tensor] | None = read_file(files[-1]) if files else None
        return weights

    def clear(self) -> None:
        """Remove the folder, after the training has ended and its result is elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self, kind: str) -> list[Path]:
        """The files of a kind, oldest first.

        Raises:
            StateFileError: if the folder cannot be listed: a folder that seems empty would start the training anew.
        """
        with refusing_storage(self.folder):
            paths = sorted(self.folder.iterdir())
        return [path for path in paths if re.fullmatch(rf"{kind}-\d+\.pt", path.name)]

    @staticmethod
    def _number(file: Path) -> int:
        return int(file.stem.split("-")[1])


def newest_state(saved: Checkpoints | None, context: DistributedContext) -> SavedState | None:
    """The newest saved state, the same in all processes, or None."""
    if saved is None:
        return None
    mapped = context.device.type == "cuda"  # each tensor is copied to the GPU: no process of a node holds all of them
    state = saved.newest(mapped) if context.is_main else None
    step = context.broadcast(-1 if state is None else state["step"])
    return saved.load(int(step), mapped) if step >= 0 and state is None else state


def load_final_weights(model: nn.Module, saved: Checkpoints, weights: str, state: TrainState) -> str:
    """Load the weights of the result, "best" or "last", into the model; returns their description for the account."""
    if weights == "best" and (best := saved.best()) is not None:
        load_weights(model, best)
        return f"best: step {state.best_step}"
    return "last"
