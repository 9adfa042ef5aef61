"""Several processes of one training, a GPU each, as torchrun starts them; or a single process."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map

from refrad.training.state import OptimizerState

__all__ = ["SINGLE_PROCESS", "DistributedContext", "LossModule", "Sharding", "join_processes"]

Sharding = Literal["ddp", "fsdp2"]

# Gradients arrive within seconds of each other; what takes longer is a process that hangs. What one process does alone (hashing shards,
# writing states, generating) may take hours, so the others wait for it in a group with a longer limit, never in NCCL.
GRADIENT_TIMEOUT = timedelta(minutes=30)
WAITING_TIMEOUT = timedelta(hours=24)


class LossModule(nn.Module):
    """The loss of a model as a module, since torch's wrappers for several processes must be called through one."""

    def __init__(self, model: nn.Module, loss_of: Callable[[Any, Mapping[str, Tensor]], Tensor]) -> None:
        super().__init__()
        self.model, self.loss_of = model, loss_of

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The loss of a batch, a float32 scalar."""
        return self.loss_of(self.model, batch)


@dataclass(frozen=True)
class DistributedContext:
    """The `rank`-th of `size` processes, and its device.

    `waiting` is the group in which processes wait for each other and exchange single numbers: gloo, through the CPU. None is
    torch's default group.
    """

    rank: int
    size: int
    device: torch.device
    waiting: distributed.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is the process that logs and writes files."""
        return self.rank == 0

    def wait_for_main(self) -> None:
        """Return when all processes have called this: the main one after what it does alone, hours later if need be."""
        if self.size > 1:
            distributed.barrier(group=self.waiting)

    def broadcast(self, value: float) -> float:
        """The main process's value, in all processes."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64)
        distributed.broadcast(tensor, 0, group=self.waiting)
        return tensor.item()

    def mean(self, value: float) -> float:
        """The mean of the processes' values, in all processes."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(tensor, group=self.waiting)
        return tensor.item() / self.size

    @contextlib.contextmanager
    def watching_peers(self) -> Iterator[None]:
        """End this process with one line if another one is lost while the block runs.

        The line is no message of the stage, so that the one of the process that failed first stays the last one in the log.

        Raises:
            SystemExit: with the line.
        """
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, distributed.DistError) or "gloo" in str(error):
                line = f"process {self.rank} of {self.size}: another process of the training has ended or hangs; its own lines say why"
                raise SystemExit(line) from None
            raise

    def leave(self) -> None:
        """End the connections to the other processes, after the last exchange with them. What follows is for one process alone."""
        if self.size > 1 and distributed.is_initialized():
            self.wait_for_main()
            distributed.destroy_process_group()

    def broadcast_weights(self, model: nn.Module) -> None:
        """Give all processes the weights of the main process."""
        if self.size > 1:
            for tensor in (*model.parameters(), *model.buffers()):
                distributed.broadcast(tensor.detach(), 0)

    def wrap(self, loss: LossModule, sharding: Sharding) -> nn.Module:
        """The loss as the processes compute it together; gradients are the mean over them.

        Args:
            loss: with the model, which "fsdp2" changes in place.
            sharding: "ddp": each process holds the whole model (DistributedDataParallel). "fsdp2": each holds a share of
                weights, gradients and optimizer state, and gathers each layer while it runs (fully_shard).
        """
        if self.size == 1:
            return loss
        if sharding == "fsdp2":
            mesh = init_device_mesh(self.device.type, (self.size,))
            for name, layers in loss.named_modules():
                # A mask head runs only in processes whose batch has masks, but gathering needs all processes: the root gathers it.
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
    def grad_sync(loss: nn.Module, last: bool) -> contextlib.AbstractContextManager[None]:
        """Context for the passes of one batch: gradients are averaged over the processes only after the `last` batch of a step."""
        if isinstance(loss, FSDPModule):
            loss.set_requires_gradient_sync(last)
        elif isinstance(loss, DistributedDataParallel) and not last:
            return loss.no_sync()  # type: ignore[no-any-return]
        return contextlib.nullcontext()

    def gather_full(self, values: Any) -> Any:
        """Nested values with full tensors on the CPU instead of sharded ones.

        All processes must call it. The main process gets the full tensors, the others get None instead.
        """

        def gather(value: Any) -> Any:
            if not isinstance(value, DTensor):
                return value
            full = value.full_tensor()
            return full.cpu() if self.is_main else None

        return tree_map(gather, values)

    @staticmethod
    def load_optimizer(optimizer: torch.optim.Optimizer, state: OptimizerState) -> None:
        """Load an optimizer's state, full as `gather_full` returns it, also for sharded weights."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        shards = {
            number: {
                name: distribute_tensor(value.to(parameter.device), parameter.device_mesh, parameter.placements)
                if isinstance(parameter, DTensor) and isinstance(value, Tensor) and value.shape == parameter.shape
                else value
                for name, value in state["state"][number].items()
            }
            for number, parameter in enumerate(parameters)
            if number in state["state"]
        }
        optimizer.load_state_dict({**state, "state": shards})


SINGLE_PROCESS = DistributedContext(0, 1, torch.device("cpu"))


def join_processes(gpus: int, option: str = "train.gpus") -> DistributedContext:
    """The context of this process, after it has joined those that torchrun started with it, if any.

    Args:
        gpus: of each node; 0 trains on the CPU.
        option: that sets them, for the message.

    Raises:
        ValueError: if there are fewer GPUs than `gpus`.
    """
    size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    rank = int(os.environ.get("RANK", "0"))
    if gpus and torch.cuda.device_count() < min(gpus, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))):
        raise ValueError(
            f"{option} is {gpus}, but torch sees {torch.cuda.device_count()} here; give the job GPUs, or set it to 0"
        )
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    if size == 1:
        return DistributedContext(rank, size, device)
    if not distributed.is_initialized():
        distributed.init_process_group(
            "nccl" if gpus else "gloo", timeout=GRADIENT_TIMEOUT, device_id=device if gpus else None
        )
    waiting = distributed.new_group(backend="gloo", timeout=WAITING_TIMEOUT)
    return DistributedContext(rank, size, device, waiting)
