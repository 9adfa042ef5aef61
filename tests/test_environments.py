"""The environments of the stacks: all from the one lock."""

import runpy

import pytest
import yaml

STACKS = ("curate", "segment", "train")


@pytest.fixture(scope="module")
def written(root):
    return {name: (root / "envs" / f"{name}.txt").read_text(encoding="utf-8").splitlines()[1:] for name in STACKS}


def test_pins_are_those_of_the_lock(root, written):
    lock = set((root / "requirements.lock").read_text(encoding="utf-8").splitlines())
    for name, pins in written.items():
        assert pins and set(pins) <= lock, f"envs/{name}.txt: {set(pins) - lock}; make lock renews it"


def test_stack_has_its_declared_packages_and_their_needs(root, written):
    script = runpy.run_path(str(root / "envs" / "stacks.py"))
    for name, extras in script["STACKS"].items():
        assert written[name] == script["stack"](extras), f"envs/{name}.txt is not what make lock would write"


def test_heavy_packages_are_in_heavy_stacks_only(written):
    names = {name: {pin.split("==")[0] for pin in pins} for name, pins in written.items()}
    assert {"TotalSegmentator", "torch"} <= names["segment"]
    assert {"transformers", "torch"} <= names["train"]
    assert not names["curate"] & {"torch", "transformers", "TotalSegmentator"}


@pytest.mark.parametrize("name", STACKS)
def test_conda_environment_is_the_same(root, name):
    script = (root / "envs" / f"{name}.post-deploy.sh").read_text(encoding="utf-8")
    assert f"envs/install.sh {name}\n" in script
    assert "python=3.11" in yaml.safe_load((root / "envs" / f"{name}.yaml").read_text(encoding="utf-8"))["dependencies"]
