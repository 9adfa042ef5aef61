import copy

import pytest
import yaml
from pydicom.datadict import keyword_dict

from refrad.config import ConfigError, check_config
from refrad.workflow.site import Site


@pytest.fixture
def config(root, monkeypatch):
    monkeypatch.chdir(root)
    return yaml.safe_load((root / "config.yaml").read_text())


def test_the_embedded_default_is_valid(config):
    assert check_config(config).deliveries[0].name == "demo"


def test_every_key_of_the_default_config_is_explained(root):
    for line in (root / "config.yaml").read_text().splitlines():
        is_leaf = ":" in line and not line.strip().startswith("#") and not line.rstrip().endswith(":")
        if is_leaf:
            assert "#" in line, f"no comment: {line}"


def change(config, path, value):
    changed = copy.deepcopy(config)
    *parents, last = path
    node = changed
    for parent in parents:
        node = node[parent]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["masks", "varaint"], "fast", "config: masks.varaint: unknown key"),
        (["masks", "variant"], "slow", "config: masks.variant: input should be 'fastest', 'fast' or 'total'"),
        (["train", "batch"], "16", "config: train.batch: input should be a valid integer"),
        (["index", "test"], 1.5, "config: index.test: input should be less than or equal to 1"),
        (["index", "test"], None, "config: index.test: missing"),
        (["index", "burned_in_rules"], [{"Typo": "x"}], "config: index.burned_in_rules.0.Typo.[key]: no DICOM keyword"),
        (
            ["index", "burned_in_rules"],
            [{"Modality": "("}],
            "config: index.burned_in_rules.0.Modality: no regular expression",
        ),
        (["deliveries", 0, "name"], "my delivery", "config: deliveries.0.name: string should match pattern"),
        (["deliveries", 0, "reports"], "elsewhere/r.csv", "config: deliveries.0.reports: no such file or folder"),
        (["masks", "weights"], "/no/such/folder", "config: masks.weights: no such file or folder: /no/such/folder"),
    ],
)
def test_a_wrong_key_type_or_path_is_said_in_one_line(config, path, value, message):
    with pytest.raises(ConfigError) as caught:
        check_config(change(config, path, value))
    lines = [line for line in str(caught.value).splitlines() if line.startswith(message)]
    assert lines, str(caught.value)
    assert all(line.startswith("config: ") and len(line) < 200 for line in str(caught.value).splitlines())


def test_adafactor_is_not_sharded(config):
    options = config["train"] | {"sharding": "fsdp2", "optimizer": "adafactor"}
    with pytest.raises(ConfigError, match="config: train: sharding fsdp2 needs optimizer adamw"):
        check_config(config | {"train": options})


def test_two_deliveries_of_one_name_are_refused(config):
    with pytest.raises(ConfigError, match="two deliveries have the same name"):
        check_config(config | {"deliveries": config["deliveries"] * 2})


def test_every_shard_of_every_delivery_is_listed(config):
    second = config["deliveries"][0] | {"name": "second", "shards": 1}
    site = Site(config | {"deliveries": [*config["deliveries"], second]})
    assert site.every_shard("{delivery}/{shard}") == ["demo/0", "demo/1", "second/0"]
    assert site.every_delivery("{delivery}") == ["demo", "second"]


def test_a_training_on_several_gpus_is_started_once_for_each(config):
    assert Site(config).launcher == "-m"
    assert Site(change(config, ["train", "gpus"], 1)).launcher == "-m"
    assert "--nproc-per-node 4 -m" in Site(change(config, ["train", "gpus"], 4)).launcher


def test_every_dicom_keyword_may_stand_in_a_rule(config):
    keywords = [keyword for keyword in keyword_dict if keyword]
    config["index"]["burned_in_rules"] = [{keyword: "x"} for keyword in keywords]
    assert len(check_config(config).index.burned_in_rules) == len(keywords) > 5000
