"""The config: config.yaml is valid and documented, and wrong values are one line each."""

import copy
import json
import re
from types import SimpleNamespace

import pytest
import yaml
from pydicom.datadict import keyword_dict

from refrad.config import AdaptOptions, Config, ConfigError, EvaluateOptions, TrainOptions, check_config
from refrad.config.reference import options_of, reference_page
from refrad.config.section import Section, nested_section
from refrad.config.training_sections import LeakOptions
from refrad.workflow.site import Site


@pytest.fixture
def config(root, monkeypatch):
    monkeypatch.chdir(root)
    return yaml.safe_load((root / "config.yaml").read_text())


def test_default_config_is_valid(config):
    assert check_config(config).deliveries[0].name == "demo"


def comments_of(text):
    """Dotted key -> the comment behind it, else the lines above it, for the keys that have a line of their own."""
    lines, comments = text.splitlines(), {}

    def visit(node, prefix):
        for mapping in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            for key, value in mapping.value:
                name, number = prefix + key.value, key.start_mark.line
                comments[name] = comment_at(number)
                anchored_here = value.start_mark.line > number
                if anchored_here and not isinstance(value, yaml.ScalarNode) and block_of_keys(value):
                    visit(value, f"{name}.")

    def block_of_keys(node):
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        return all(isinstance(item, yaml.MappingNode) and not item.flow_style for item in items)

    def comment_at(number):
        if behind := re.search(r"\s#\s(.*)", lines[number]):
            return behind[1]
        above = []
        while lines[number - 1].lstrip().startswith("# "):
            number -= 1
            above.insert(0, lines[number].strip()[2:])
        return " ".join(above)

    visit(yaml.compose(text), "")
    return comments


def descriptions(config):
    """Dotted key -> the sentence of the schema."""
    sentences = {name: field.description for name, field in Config.model_fields.items()}
    for name, field in Config.model_fields.items():
        if section := nested_section(field.annotation):
            values = config[name][0] if isinstance(config[name], list) else config[name]
            sentences |= {f"{name}.{option.key}": option.meaning for option in options_of(section, values)}
    return sentences


def test_config_comments_are_the_descriptions_of_the_schema(root, config):
    sentences = descriptions(config)
    for key, comment in comments_of((root / "config.yaml").read_text(encoding="utf-8")).items():
        assert comment == sentences[key], key


def test_config_descriptions_are_sentences(config):
    for key, sentence in descriptions(config).items():
        assert sentence and sentence[0].isupper() and sentence.endswith("."), key


def test_config_has_every_section_of_the_schema(config):
    assert set(config) == {name for name, field in Config.model_fields.items() if field.is_required()}


def test_config_page_is_made_from_the_schema(root, config):
    page = (root / "docs" / "config.md").read_text(encoding="utf-8")
    assert page == reference_page(config), "run: python -m refrad.config.reference > docs/config.md"


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
        (["masks", "varaint"], "fast", "config: masks.varaint: unknown key; did you mean masks.variant?"),
        (
            ["deliveries", 0, "dicoms"],
            "x",
            "config: deliveries.0.dicoms: unknown key; did you mean deliveries.0.dicom?",
        ),
        (["trian"], {}, "config: trian: unknown key; did you mean train?"),
        (["llm", "rewrite"], {"modle": "x"}, "config: llm.rewrite.modle: unknown key; did you mean llm.rewrite.model?"),
        (["xyzzy"], 1, "config: xyzzy: unknown key"),
        (["shards"], None, "config: shards: missing; name config.yaml before your own file: it holds the defaults"),
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
        (["deliveries", 0, "name"], "_hidden", "config: deliveries.0.name: string should match pattern"),
        (["deliveries", 0, "name"], ".hidden", "config: deliveries.0.name: string should match pattern"),
        (["deliveries", 0, "name"], "", "config: deliveries.0.name: string should match pattern"),
        (["deliveries", 0, "reports"], "elsewhere/r.csv", "config: deliveries.0.reports: no such file or folder"),
        (["deliveries", 0, "mask_table"], "README.md", "config: deliveries.0: has mask_table without masks"),
        (["masks", "weights"], "/no/such/folder", "config: masks.weights: no such file or folder: /no/such/folder"),
    ],
)
def test_wrong_key_type_or_path_is_one_line(config, path, value, message):
    with pytest.raises(ConfigError) as caught:
        check_config(change(config, path, value))
    lines = [line for line in str(caught.value).splitlines() if line.startswith(message)]
    assert lines, str(caught.value)
    assert all(line.startswith("config: ") and len(line) < 200 for line in str(caught.value).splitlines())


def renamed(section, parents=()):
    """Path, old and new name of every renamed key."""
    for old, new in (section.RENAMED | {old: new for old, (new, _) in section.REPLACED.items()}).items():
        yield parents, old, new
    for key, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from renamed(field.annotation, (*parents, key))


RENAMED = list(renamed(Config))


@pytest.mark.parametrize(("parents", "old", "new"), RENAMED, ids=[".".join((*key[0], key[1])) for key in RENAMED])
def test_renamed_key_is_refused_with_its_new_name(config, parents, old, new):
    section = changed = json.loads(json.dumps(config))  # without the shared parts of YAML's anchors
    for parent in parents:
        section = section[parent]
    section[old] = section.pop(new)
    with pytest.raises(ConfigError) as caught:
        check_config(changed)
    path = ".".join((*parents, ""))
    assert str(caught.value) == f"config: {path}{old}: is now called {path}{new}"


def test_stored_options_are_read_under_old_key_names(config):
    def with_old_keys(section, values):
        old = {new: old for old, new in section.RENAMED.items()}
        inner = {key: field.annotation for key, field in section.model_fields.items()}
        return {
            old.get(key, key): with_old_keys(inner[key], value) if isinstance(value, dict) else value
            for key, value in values.items()
        }

    for section in (AdaptOptions, TrainOptions, EvaluateOptions):
        key = section.__name__.removesuffix("Options").lower()
        stored = with_old_keys(section, config[key])
        assert stored != config[key]
        assert section.from_stored(stored) == section.from_stored(config[key]) == getattr(check_config(config), key)


def test_stored_options_in_an_earlier_unit_are_replaced(config):
    leaks = {"found": "drop", "difference": 2.0}
    stored = config["evaluate"] | {"leaks": leaks}
    assert EvaluateOptions.from_stored(stored).leaks == LeakOptions(action="drop", correlation=0.75)


@pytest.mark.parametrize("frozen", [True, False])
def test_stored_freeze_tower_is_read_as_trained_parts(config, frozen):
    stored = {key: value for key, value in config["train"].items() if key not in ("trained", "lora", "frozen_dtype")}
    options = TrainOptions.from_stored(stored | {"freeze_tower": frozen})
    assert options.trained == ["language", "embeddings", "projector"] + ["tower"] * (not frozen)
    assert options.lora is None and options.frozen_dtype == "float32"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trained": []}, "train: trained names no part and lora is null: nothing would be trained"),
        ({"trained": ["projector", "projector"]}, "train.trained: names a part twice"),
        ({"trained": ["language", "attention"]}, "train.trained: attention is a part of language: name one of them"),
        ({"trained": ["tokens", "embeddings"]}, "train.trained: tokens is a part of embeddings: name one of them"),
        ({"trained": ["head"]}, "train.trained.0: "),
        ({"lora": {"rank": 0}, "trained": ["tokens"]}, "train.lora.rank: "),
        ({"lora": {"rank": 8, "dropout": 1.0}, "trained": ["tokens"]}, "train.lora.dropout: "),
        ({"lora": {"rank": 8, "targets": []}, "trained": ["tokens"]}, "train.lora.targets: "),
        ({"lora": {"rank": 8, "r": 8}, "trained": ["tokens"]}, "train.lora.r: "),
        ({"lora": {}, "trained": ["tokens"]}, "train.lora.rank: "),
        (
            {"lora": {"rank": 8}, "trained": ["language", "projector"]},
            "train: lora freezes the layers of the language model: leave language out of trained",
        ),
        (
            {"lora": {"rank": 8}, "trained": ["attention"]},
            "train: lora freezes the layers of the language model: leave attention",
        ),
        (
            {"frozen_dtype": "bfloat16", "compute_dtype": "float32"},
            "train: frozen_dtype bfloat16 needs compute_dtype bfloat16",
        ),
        (
            {"frozen_dtype": "bfloat16", "model": "tiny"},
            "train: frozen_dtype bfloat16 is for a pretrained model, not for tiny",
        ),
    ],
)
def test_parts_that_cannot_be_trained_are_one_line(config, changes, message):
    with pytest.raises(ConfigError) as caught:
        check_config(config | {"train": config["train"] | changes})
    assert str(caught.value).startswith(f"config: {message}") and "\n" not in str(caught.value)


def test_adapters_need_no_part(config):
    options = check_config(config | {"train": config["train"] | {"trained": [], "lora": {"rank": 16}}}).train
    assert (options.lora.alpha, options.lora.dropout, len(options.lora.targets)) == (32, 0.0, 7)


def test_adafactor_is_not_sharded(config):
    options = config["train"] | {"sharding": "fsdp2", "optimizer": "adafactor"}
    with pytest.raises(ConfigError, match="config: train: sharding fsdp2 needs optimizer adamw"):
        check_config(config | {"train": options})


@pytest.mark.parametrize(
    ("metric", "changes", "fault"),
    [
        ("dice", {}, "dice needs variant segmentation; use iou"),
        ("iou", {"variant": "segmentation"}, "iou needs variant detection; use dice"),
        ("iou", {"tasks": {"locate": 0.0}}, "iou needs a share of tasks.locate above 0"),
        ("vqa", {"tasks": {"vqa": 0.0}}, "vqa needs a share of tasks.vqa above 0"),
        ("iou", {"sharding": "fsdp2"}, "iou needs sharding ddp"),
        (
            "dice",
            {"variant": "segmentation", "tasks": {"locate": 0.0, "detect": 0.0}},
            "dice needs a share of tasks.locate or tasks.detect",
        ),
    ],
)
def test_metric_that_the_model_cannot_give_is_refused(config, metric, changes, fault):
    train = config["train"] | {"checkpoints": config["train"]["checkpoints"] | {"metric": metric}}
    train |= changes | {"tasks": train["tasks"] | changes.get("tasks", {})}
    with pytest.raises(ConfigError, match=f"config: train: checkpoints.metric {fault}"):
        check_config(config | {"train": train})


def test_logger_is_named_once(config):
    with pytest.raises(ConfigError, match=r"config: train.loggers: .*twice"):
        check_config(config | {"train": config["train"] | {"loggers": ["tensorboard", "tensorboard"]}})


def test_deliveries_of_the_same_name_are_refused(config):
    with pytest.raises(ConfigError, match="two deliveries have the same name"):
        check_config(config | {"deliveries": config["deliveries"] * 2})


def test_shards_of_all_deliveries_are_listed(config):
    second = config["deliveries"][0] | {"name": "second", "shards": 1}
    site = Site(config | {"deliveries": [*config["deliveries"], second]})
    assert site.every_shard("{delivery}/{shard}") == ["demo/0", "demo/1", "second/0"]
    up_to = site.so_far("{delivery}/{shard}")
    assert up_to(SimpleNamespace(delivery="demo")) == ["demo/0", "demo/1"]
    assert up_to(SimpleNamespace(delivery="second")) == ["demo/0", "demo/1", "second/0"]
    assert site.every_delivery("{delivery}") == ["demo", "second"]


def test_burned_in_rules_take_any_dicom_keyword(config):
    keywords = [keyword for keyword in keyword_dict if keyword]
    config["index"]["burned_in_rules"] = [{keyword: "x"} for keyword in keywords]
    assert len(check_config(config).index.burned_in_rules) == len(keywords) > 5000
