"""A training that is killed, and killed again, ends with the weights of one that never was."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from tests.factories import tiny_training

from refrad.stages import train
from refrad.workflow.fingerprint import Fingerprint

OPTIONS = tiny_training(steps=40, workers=2, checkpoints={"steps": 3})
FINGERPRINT = Fingerprint("train", train.VERSION, OPTIONS, {})


@pytest.fixture
def arguments(images, root, tmp_path):
    def arguments(name):
        paths = {"checkpoint": tmp_path / name, "work": tmp_path / f"{name}.work", "metrics": tmp_path / f"{name}.json"}
        return {"images": [images], "schema": root / "workflow" / "anatomy" / "classes.yaml", **paths}

    return arguments


def run_until_killed(arguments, step):
    """The stage in a process of its own, with kill -9 some moment after the state of a step is there."""
    command = [sys.executable, "-m", "refrad", "train", "--fingerprint", FINGERPRINT.text]
    for key, value in arguments.items():
        command += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while not any(int(path.stem[5:]) >= step for path in arguments["work"].glob("step-*.pt")):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.1))  # a fast machine makes no more than ten steps in it
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return max(int(path.stem[5:]) for path in arguments["work"].glob("step-*.pt"))


@pytest.mark.slow
def test_training_killed_twice_ends_with_the_same_weights(arguments, tmp_path):
    first = run_until_killed(arguments("killed"), 3)
    assert run_until_killed(arguments("killed"), first + 6) < 40
    for name in ("killed", "whole"):
        train.run(**arguments(name), fingerprint=FINGERPRINT)
    whole, killed = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert killed.read_bytes() == whole.read_bytes()
    accounts = [json.loads((tmp_path / name / "training.json").read_text()) for name in ("whole", "killed")]
    assert [one.pop("resumed") for one in accounts] == [0, 2]
    curves = [[(p["step"], p["loss"], p["validation_loss"]) for p in one["curve"]] for one in accounts]
    assert curves[0] == curves[1] and accounts[0]["tasks"] == accounts[1]["tasks"]
    assert not (tmp_path / "killed.work").exists()
    logs = [(tmp_path / name / "logs" / "steps.jsonl").read_text().splitlines() for name in ("whole", "killed")]
    losses = [[(line["step"], line["loss"], line["task"]) for line in map(json.loads, lines)] for lines in logs]
    assert losses[0] == losses[1] and [step for step, _, _ in losses[1]] == list(range(1, 41))
