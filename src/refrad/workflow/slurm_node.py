"""Start the training's processes of one node, from a step of a Slurm job that srun starts once on each node.

srun ... python -m refrad.workflow.slurm_node <nodes> <processes of a node> refrad train ...
"""

import os
import re
import socket
import sys
from collections.abc import Mapping

__all__ = ["first_host", "main", "torchrun_arguments"]

FIRST_PORT, PORTS = 20_000, 10_000  # below those that Linux gives to outgoing connections (32768 and above)


def main() -> None:
    """Replace this process by torchrun."""
    nodes, processes, *program = sys.argv[1:]
    try:
        arguments = torchrun_arguments(os.environ, int(nodes), int(processes))
    except ValueError as error:
        sys.exit(f"refrad train: {error}")
    os.execv(sys.executable, [sys.executable, *arguments, "-m", *program])


def torchrun_arguments(environment: Mapping[str, str], nodes: int, processes: int) -> list[str]:
    """Arguments of Python that start torchrun on this node.

    The nodes meet at the first one, at a port that follows from the number of the job. A process that fails is not started again:
    torchrun then ends its node, and srun the others.

    Args:
        environment: with Slurm's variables of a step.
        nodes: of the job.
        processes: of this node.

    Raises:
        ValueError: if this is no step of a Slurm job of so many nodes.
    """
    job, count = environment.get("SLURM_JOB_ID", ""), environment.get("SLURM_STEP_NUM_NODES", "")
    if not job or count != str(nodes):
        raise ValueError(
            f"train.nodes is {nodes}, but this is a step of {count or 'no'} nodes of Slurm: run `snakemake --profile slurm all`,"
            " or set it to 1"
        )
    first, own = first_host(environment["SLURM_JOB_NODELIST"]), environment.get("SLURMD_NODENAME", "")
    host = first if _has_address(first) else environment["SLURM_LAUNCH_NODE_IPADDR"]
    arguments = [
        "-m",
        "torch.distributed.run",
        f"--nnodes={nodes}",
        f"--nproc-per-node={processes}",
        "--max-restarts=0",
    ]
    arguments += ["--rdzv-backend=c10d", f"--rdzv-id={job}", f"--rdzv-endpoint={host}:{FIRST_PORT + int(job) % PORTS}"]
    arguments += [f"--rdzv-conf=is_host={int(environment['SLURM_NODEID'] == '0')}"]
    return [*arguments, f"--local-addr={own}"] if _has_address(own) else arguments


def first_host(nodes: str) -> str:
    """The first host of a list as Slurm writes it: that of "gpu[03-04,7],big1" is "gpu03"."""
    matched = re.match(r"(?:[^,\[]|\[[^\]]*\])+", nodes)
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", matched[0]) if matched else nodes


def _has_address(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return bool(host)


if __name__ == "__main__":
    main()
