"""The processes of one training, a GPU each, as torchrun starts them; or one process alone."""

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map

__all__ = ["ALONE", "LossModule", "Sharding", "Team", "gather_team"]

Sharding = Literal["ddp", "fsdp2"]


class LossModule(nn.Module):
    """The loss of a model as a module: what torch's wrappers for several processes want to be called through."""

    def __init__(self, model: nn.Module, loss_of: Callable[[Any, Mapping[str, Tensor]], Tensor]) -> None:
        super().__init__()
        self.model, self.loss_of = model, loss_of

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of a batch."""
        return self.loss_of(self.model, batch)


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

    def join(self, loss: LossModule, sharding: Sharding) -> nn.Module:
        """The loss as the processes compute it together; gradients are the mean over them.

        "ddp": each process holds the whole model (DistributedDataParallel). "fsdp2": each holds its share of weights,
        gradients and optimizer, and layers are put together while they run (fully_shard); the model is changed in place.
        """
        if self.size == 1:
            return loss
        if sharding == "fsdp2":
            mesh = init_device_mesh(self.device.type, (self.size,))
            for name, layers in loss.named_modules():
                # A mask head runs only where its own process has masks, and putting together takes all: the root does it.
                if isinstance(layers, nn.ModuleList) and name.endswith(".layers") and "mask_head" not in name:
                    for layer in layers:
                        fully_shard(layer, mesh=mesh)
            fully_shard(loss, mesh=mesh)
            return loss
        return DistributedDataParallel(
            loss,
            device_ids=[self.device] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
        )

    @staticmethod
    def averaging(joined: nn.Module, last: bool) -> contextlib.AbstractContextManager[None]:
        """Around the passes of a batch: gradients are sent only after the `last` one of a step."""
        if isinstance(joined, FSDPModule):
            joined.set_requires_gradient_sync(last)
        elif isinstance(joined, DistributedDataParallel) and not last:
            return joined.no_sync()  # type: ignore[no-any-return]
        return contextlib.nullcontext()

    def whole(self, values: Any) -> Any:
        """Nested values with whole tensors, on the processor, in place of tensors of which each process holds a part.

        Each process must ask; what they get is for the first one to write, the others get None for these.
        """

        def gather(value: Any) -> Any:
            if not isinstance(value, DTensor):
                return value
            full = value.full_tensor()
            return full.cpu() if self.leads else None

        return tree_map(gather, values)

    @staticmethod
    def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
        """Take up the state of an optimizer, whole as `whole` gives it, for weights that may be held in parts."""
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        parts = {
            number: {
                name: distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
                if isinstance(parameter, DTensor) and isinstance(value, Tensor) and value.shape == parameter.shape
                else value
                for name, value in state["state"][number].items()
            }
            for number, parameter in enumerate(parameters)
            if number in state["state"]
        }
        optimizer.load_state_dict({**state, "state": parts})


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
