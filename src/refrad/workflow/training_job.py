"""The job of rule train: its processes, on one node or several, its CPUs and its memory."""

import json
import math
import shlex
from pathlib import Path
from typing import Any

from refrad.config import AdaptOptions, ConfigError, TrainOptions

__all__ = ["TrainingJob", "cpus_of_process", "parameters_of"]

BASE, PROCESS, WORKER = (
    16_000,
    2_000,
    1_000,
)  # MB: of a node, with the tables and the page cache; of each process; of each of its workers
FLOAT = 4e-6  # MB of a float32 number
COPIES = {"adamw": 3, "adafactor": 1}  # of the weights in a state: the weights and the optimizer's moments of that size
LONGEST_HEADER = 100_000_000  # bytes, as the format limits it
LARGEST = 3_033_000_000  # parameters of PaliGemma 2 3B, for a folder that cannot be read where the job is planned


class TrainingJob:
    """What the rule train requests and how its command begins.

    Attributes:
        processes: of each node.
        cpus: of each node.
        resources: of several nodes, as the executor of Slurm reads them; none for one node.
        gpus: of all nodes together, as Slurm counts them.
    """

    def __init__(self, options: TrainOptions) -> None:
        self._options = options
        self.processes = max(1, options.gpus)
        self.cpus: int = self.processes * cpus_of_process(options)
        self.gpus: int = options.gpus * options.nodes
        # With `mpi` the rule's command runs on the first node, outside of any step, and starts the others by srun. Its value is not
        # used. Without `tasks_per_gpu` the executor would pass `tasks` as the number for each GPU.
        several: dict[str, Any] = {"nodes": options.nodes, "tasks": options.nodes, "tasks_per_gpu": 0, "mpi": "srun"}
        self.resources: dict[str, Any] = several if options.nodes > 1 else {}

    def memory(self, wildcards: Any, attempt: int) -> int:  # noqa: ARG002 - names that Snakemake looks for
        """A Snakemake resource function: MB of each node. Each process loads the weights, and the first writes the states."""
        options = self._options
        weights = 0.0
        if options.model not in ("tiny", None):
            weights = FLOAT * (parameters_of(Path(options.model)) or LARGEST)
        each = PROCESS + WORKER * options.workers + 1.1 * weights
        return attempt * math.ceil(BASE + self.processes * each + COPIES[options.optimizer] * weights)

    @property
    def launcher(self) -> Any:
        """A Snakemake params function: the command up to the program `refrad`, which torchrun starts unless there is one process.

        It takes `resources`, so Snakemake leaves it out of the triggers of a rerun.
        """

        def text(wildcards: Any, resources: Any) -> str:  # noqa: ARG001 - names that Snakemake looks for
            python, nodes = shlex.quote(resources.python), self._options.nodes
            if nodes > 1:
                # Without a number of CPUs, and unbound, the step has all that the job has on each node, also after --set-threads.
                step = f"srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 --cpu-bind=none --mpi=none"
                node = f"refrad.workflow.slurm_node {nodes} {self.processes}"
                return f"{step} --kill-on-bad-exit=1 --wait=0 {python} -m {node}"
            if self.processes > 1:
                each = f"--nproc-per-node={self.processes} --max-restarts=0"
                return f"{python} -m torch.distributed.run --standalone {each} -m"
            return f"{python} -m"

        return text

    def refuse_without_slurm(self, on_slurm: bool) -> None:
        """Raise ConfigError if this is a job of several nodes and no Slurm runs it."""
        if self._options.nodes > 1 and not on_slurm:
            raise ConfigError(
                f"config: train.nodes: {self._options.nodes} nodes need Slurm: run `snakemake --profile slurm all`, or set it to 1"
            )


def cpus_of_process(options: TrainOptions | AdaptOptions) -> int:
    """CPUs of a process, which computes with `threads`, or feeds a GPU while its `workers` prepare batches."""
    return max(options.threads, 1 + options.workers)


def parameters_of(folder: Path) -> int:
    """Number of parameters in the safetensors files of a folder, from their headers; 0 if there is none that can be read.

    A file begins with the length of its header in 8 bytes, little-endian, and the header, JSON with the shape of each tensor:
    https://huggingface.co/docs/safetensors
    """
    total = 0
    try:
        for path in folder.glob("*.safetensors"):
            with path.open("rb") as file:
                header = json.loads(file.read(min(LONGEST_HEADER, int.from_bytes(file.read(8), "little"))))
            total += sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return total
