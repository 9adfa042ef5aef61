"""torchrun on the nodes of a Slurm job."""

import pytest

from refrad.workflow.slurm_node import first_host, torchrun_arguments

STEP = {
    "SLURM_JOB_ID": "48123",
    "SLURM_JOB_NODELIST": "localhost,other",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_NODEID": "1",
    "SLURMD_NODENAME": "no-such-node.invalid",
    "SLURM_LAUNCH_NODE_IPADDR": "10.1.2.3",
}


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n2", "n2"),
        ("gpu[003-004,7],big1", "gpu003"),
        ("big1,gpu[003-004]", "big1"),
        ("rack[2-3]n[08,11].site", "rack2n08.site"),
        ("a-b[5],c", "a-b5"),
    ],
)
def test_first_host_of_slurms_lists(nodes, first):
    assert first_host(nodes) == first


def test_nodes_meet_at_the_first_one_at_a_port_of_the_job():
    arguments = torchrun_arguments(STEP, 2, 4)
    assert {"--nnodes=2", "--nproc-per-node=4", "--max-restarts=0", "--rdzv-id=48123"} <= set(arguments)
    assert "--rdzv-endpoint=localhost:28123" in arguments
    assert "--rdzv-conf=is_host=0" in arguments
    assert "--rdzv-conf=is_host=1" in torchrun_arguments(STEP | {"SLURM_NODEID": "0"}, 2, 4)
    assert not [argument for argument in arguments if argument.startswith("--local-addr")]  # its name has no address


def test_first_node_without_an_address_is_reached_where_srun_runs():
    arguments = torchrun_arguments(STEP | {"SLURM_JOB_NODELIST": "no-such-node.invalid"}, 2, 4)
    assert "--rdzv-endpoint=10.1.2.3:28123" in arguments


@pytest.mark.parametrize("step", [{}, STEP | {"SLURM_STEP_NUM_NODES": "1"}, STEP | {"SLURM_JOB_ID": ""}])
def test_processes_outside_of_such_a_step_are_refused(step):
    with pytest.raises(ValueError, match=r"^train\.nodes is 2, but this is a step of .* or set it to 1$"):
        torchrun_arguments(step, 2, 4)
