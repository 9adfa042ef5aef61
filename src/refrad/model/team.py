"""The processes of one training, a GPU each, as torchrun starts them; or one process alone."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

__all__ = ["ALONE", "Team", "gather_team"]

BUCKET = 1 << 26  # numbers sent at once


@dataclass(frozen=True)
class Team:
    """The `rank`-th of `size` processes, and its device."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def agree(self, value: float) -> float:
        """The first process's value, in all."""
        if self.size == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.broadcast(told, 0)
        return told.item()

    def mean(self, value: float) -> float:
        """The mean over the processes."""
        if self.size == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(told)
        return told.item() / self.size

    def share(self, model: nn.Module) -> None:
        """Give all processes the first one's weights."""
        if self.size > 1:
            for tensor in (*model.parameters(), *model.buffers()):
                distributed.broadcast(tensor.detach(), 0)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Mean over the processes of the gradients, in place; a missing one counts as zero.

        Once a step, after all of its batches: then there is nothing to overlap with, and any loss may use any weight.
        """
        if self.size == 1:
            return
        pending: list[Tensor] = []
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            pending.append(parameter.grad)
            if sum(one.numel() for one in pending) >= BUCKET:
                self._average(pending)
                pending = []
        if pending:
            self._average(pending)

    def _average(self, gradients: list[Tensor]) -> None:
        joined = torch.cat([one.flatten() for one in gradients])
        distributed.all_reduce(joined)
        joined /= self.size
        for one, mean in zip(gradients, joined.split([one.numel() for one in gradients]), strict=True):
            one.copy_(mean.view_as(one))


ALONE = Team(0, 1, torch.device("cpu"))


def gather_team(gpus: int) -> Team:
    """Join the other processes that torchrun started, if any.

    Args:
        gpus: of the training; 0 trains on the processor.

    Raises:
        ValueError: if there are fewer GPUs than asked for.
    """
    size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    if gpus and torch.cuda.device_count() < min(gpus, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))):
        raise ValueError(
            f"train.gpus is {gpus}, but torch sees {torch.cuda.device_count()} here; give the job GPUs, or set it to 0"
        )
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    if size > 1 and not distributed.is_initialized():
        if gpus:
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if gpus else "gloo")
    return Team(int(os.environ.get("RANK", "0")), size, device)
