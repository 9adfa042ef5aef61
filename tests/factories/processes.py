"""Stage train, in the process of the test or in two as torchrun starts them."""

import subprocess
import sys

from refrad.stages import train
from refrad.workflow.fingerprint import Fingerprint


def train_in_process(images, schema, folder, options):
    """Train with options of stage train on shards; the checkpoint, `x` in the folder, next to its metrics, `m.json`."""
    train.run(
        images=[images],
        schema=schema,
        checkpoint=folder / "x",
        work=folder / "w",
        metrics=folder / "m.json",
        fingerprint=Fingerprint("train", train.VERSION, options, {}),
    )
    return folder / "x"


def train_in_two_processes(images, schema, folder, options):
    """As `train_in_process`."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "refrad"]
    command += ["train", "--images", images, "--schema", schema]
    command += ["--checkpoint", folder / "x", "--work", folder / "w", "--metrics", folder / "m.json"]
    text = Fingerprint("train", train.VERSION, options, {}).text
    process = subprocess.run([*map(str, command), "--fingerprint", text], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-3000:]
    return folder / "x"
