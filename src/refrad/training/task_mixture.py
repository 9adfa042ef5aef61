"""Which rows are the samples of an epoch, and which task each of them serves, by the shares of `train.tasks`."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from refrad.dataset.example_rows import ExampleRows

__all__ = ["TASKS", "TaskMixture"]

TASKS = ("locate", "detect", "vqa", "caption")
BOXED = ("locate", "detect")  # tasks of images with a grounded caption
FREE = ("vqa", "caption")  # tasks of all images


class TaskMixture:
    """The samples of the epochs: each of the site's images once, grounded ones more often where the shares need it, then public ones.

    Images without a grounded caption serve caption and vqa alone. If they are so many that the other tasks would fall below their
    shares, images with one have further turns, which go on from epoch to epoch. An image without questions serves another
    task in place of vqa. With caption and vqa at 0, images without a grounded caption are no samples.

    Args:
        rows: of the site and of benchmarks.
        shares: of the tasks; a task that is not named has 0.
        public_share: of the samples that are questions of benchmarks: rows without captions and structures. The benchmarks take
            turns by their numbers of rows; a share of less than one sample an epoch is one sample in several epochs.
        seed: of the tasks.
    """

    def __init__(self, rows: ExampleRows, shares: Mapping[str, float], public_share: float, seed: int) -> None:
        weights = np.array([shares.get(task, 0.0) for task in TASKS])
        self._shares = dict(zip(TASKS, (weights / weights.sum()).tolist(), strict=True))
        self._seed = seed
        texts, structures = rows.facts["captions"], rows.facts["structures"]
        self._answerable = rows.facts["questions"] > 0
        # Rows without captions have no sentence that could be grounded: they serve locate by their structures.
        self._boxed = (rows.facts["mentions"] > 0) | ((texts == 0) & (structures > 0))
        free = (
            (texts > 0) & ~self._boxed & (self._answerable & (self._shares["vqa"] > 0) | (self._shares["caption"] > 0))
        )
        self.own = np.flatnonzero(self._boxed | free)
        public = np.flatnonzero(texts + structures == 0)
        self.public = _interleaved(public, rows.facts["benchmark"][public])
        self._public_codes = len(TASKS) + rows.facts["benchmark"]
        self.names = [*TASKS, *rows.benchmarks]
        self._boxed_rows = np.flatnonzero(self._boxed)
        self._turns = self._further_turns(int(free.sum()))
        site = len(self.own) + self._turns
        self._public_rate = public_share / (1 - public_share) * site if len(self.public) else 0.0  # samples an epoch
        self._probabilities = self._split_shares(int(free.sum()))

    def __len__(self) -> int:
        """The number of samples of the first epoch. Others differ by one where the share of the benchmarks is no whole number."""
        return len(self.own) + self._turns + self._public_before(1)

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """The row of each sample of an epoch, int64 [samples]."""
        again = (epoch * self._turns + np.arange(self._turns)) % max(len(self._boxed_rows), 1)
        public = np.arange(self._public_before(epoch), self._public_before(epoch + 1)) % max(len(self.public), 1)
        return np.concatenate([self.own, self._boxed_rows[again], self.public[public]])

    def tasks(self, epoch: int) -> NDArray[np.str_]:
        """The task of each sample of an epoch, str [samples]; of public ones the benchmark's name."""
        return np.array(self.names)[self.codes(epoch)]

    def codes(self, epoch: int) -> NDArray[np.int32]:
        """The task of each sample of an epoch as its position in `names`, int32 [samples]."""
        rows = self.rows(epoch)
        own, public = np.split(rows, [len(self.own) + self._turns])
        drawn = np.random.default_rng((self._seed, epoch, 0)).random(len(own))
        boxed, free = (
            np.searchsorted(probabilities.cumsum()[:-1], drawn, side="right").astype(np.int32)
            for probabilities in self._probabilities
        )
        tasks = np.where(self._boxed[own], boxed, free)
        instead = next((task for task in ("locate", "caption", "detect") if self._shares[task] > 0), "locate")
        instead_of_vqa = np.where(self._boxed[own], TASKS.index(instead), TASKS.index("caption"))
        tasks = np.where((tasks == TASKS.index("vqa")) & ~self._answerable[own], instead_of_vqa, tasks)
        return np.concatenate([tasks, self._public_codes[public]], dtype=np.int32)

    def _public_before(self, epoch: int) -> int:
        """Samples of benchmarks in all epochs before this one."""
        return int(np.floor(epoch * self._public_rate + 0.5))

    def _further_turns(self, free: int) -> int:
        """Turns of grounded images in an epoch, beyond one each, so that `free` ungrounded ones do not exceed their tasks' shares."""
        share = sum(self._shares[task] for task in FREE)
        if not free or not len(self._boxed_rows):
            return 0
        return max(0, int(np.ceil(free / share)) - len(self.own))

    def _split_shares(self, free: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The probabilities of the tasks for grounded images and for ungrounded ones, float64 [tasks] each."""
        shares = np.array([self._shares[task] for task in TASKS])
        is_free = np.isin(TASKS, FREE)
        total = shares[is_free].sum()
        of_free = np.where(is_free, shares, 0) / total if total else shares
        of_boxed = shares
        if free and len(self._boxed_rows):
            samples = len(self.own) + self._turns
            of_boxed = (shares * samples - of_free * free) / (samples - free)
        return np.clip(of_boxed, 0, None), of_free


def _interleaved(rows: NDArray[np.int64], benchmarks: NDArray[np.int32]) -> NDArray[np.int64]:
    """Rows of several benchmarks in an order in which each is spread evenly, and keeps its own order."""
    positions = np.zeros(len(rows))
    for benchmark in np.unique(benchmarks):
        of_benchmark = benchmarks == benchmark
        positions[of_benchmark] = (np.arange(of_benchmark.sum()) + 0.5) / of_benchmark.sum()
    return rows[np.argsort(positions, kind="stable")]
