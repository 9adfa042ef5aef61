"""The environments of the stacks: all from the one lock."""

import re
import runpy
import subprocess
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

STACKS = ("curate", "segment", "train")
LOCKED = ("segment", "train", "int8", "text", "test", "lint")  # extras of `make lock`
# Stands for the Python of an environment: prints its arguments, then the last of them if that is what a command writes.
SPEAKING_PYTHON = """#!/bin/sh
echo "$@"
for last; do :; done
case $last in /dev/fd/*) cat "$last" ;; esac
"""


@pytest.fixture(scope="module")
def written(root):
    return {name: (root / "envs" / f"{name}.txt").read_text(encoding="utf-8").splitlines()[1:] for name in STACKS}


@pytest.fixture(scope="module")
def lock(root):
    """Pin -> its hashes, of requirements.lock."""
    text = (root / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    return {pin: hashes for pin, *hashes in map(str.split, text.splitlines())}


@pytest.fixture(scope="module")
def torch(root):
    (pin,) = re.findall(r"^torch==.*$", (root / "envs" / "torch.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return pin


def test_every_pin_of_the_lock_has_hashes(lock):
    for pin, hashes in lock.items():
        assert re.fullmatch(r"[a-z0-9-]+==\S+", pin)
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", digest) for digest in hashes), pin


def test_builds_of_one_device_are_not_in_the_lock(lock):
    assert not {pin for pin in lock if re.match(r"(torch|torchvision|triton|nvidia-.*|cuda-.*)==|.*\+", pin)}


def test_pins_are_those_of_the_lock(written, lock, torch):
    for name, pins in written.items():
        unknown = set(pins) - set(lock) - {torch}
        assert pins and not unknown, f"envs/{name}.txt: {unknown}; make lock renews it"


@pytest.mark.parametrize("name", STACKS)
def test_stack_is_installed_with_the_hashes_of_the_lock(root, tmp_path, written, lock, torch, name):
    python = tmp_path / "python"
    python.write_text(SPEAKING_PYTHON, encoding="utf-8")
    python.chmod(0o755)
    run = subprocess.run(["envs/install.sh", name, python], cwd=root, capture_output=True, text=True, check=True)
    locked, *unlocked = re.split(r"^-m pip install ", run.stdout, flags=re.MULTILINE)[1:]
    options, *entries = locked.replace("\\\n", " ").splitlines()
    assert "--require-hashes --no-deps" in options
    pins = set(written[name])
    assert {pin: hashes for pin, *hashes in map(str.split, entries)} == {pin: lock[pin] for pin in pins - {torch}}
    assert sum("envs/torch.txt" in command for command in unlocked) == (torch in pins)


def test_stack_has_its_declared_packages_and_their_needs(root, written):
    script = runpy.run_path(str(root / "envs" / "stacks.py"))
    for name, extras in script["STACKS"].items():
        assert written[name] == script["stack"](extras), f"envs/{name}.txt is not what make lock would write"


def test_lock_has_what_the_project_declares_and_no_more(root):
    script = runpy.run_path(str(root / "envs" / "stacks.py"))
    pins = script["locked"]()
    assert script["stack"](LOCKED) == sorted(pins.values()), "make lock renews it"
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [
        *project["dependencies"],
        *(name for extra in LOCKED for name in project["optional-dependencies"][extra]),
    ]
    assert {canonicalize_name(Requirement(requirement).name) for requirement in declared} <= pins.keys()


def test_heavy_packages_are_in_heavy_stacks_only(written):
    names = {name: {pin.split("==")[0] for pin in pins} for name, pins in written.items()}
    assert {"totalsegmentator", "torch"} <= names["segment"]
    assert {"transformers", "torch"} <= names["train"]
    assert not names["curate"] & {"torch", "transformers", "totalsegmentator"}


@pytest.mark.parametrize("name", STACKS)
def test_conda_environment_is_the_same(root, name):
    script = (root / "envs" / f"{name}.post-deploy.sh").read_text(encoding="utf-8")
    assert f"envs/install.sh {name}\n" in script
    assert "python=3.11" in yaml.safe_load((root / "envs" / f"{name}.yaml").read_text(encoding="utf-8"))["dependencies"]
