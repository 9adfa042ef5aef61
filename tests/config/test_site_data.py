"""Settings of the demo stay with the demo: own data are refused until the site has said what only it can say."""

import shutil

import pytest
import yaml
from tests.factories import OWN_DATA

from refrad.config import ConfigError, check_config
from refrad.config.site_data import is_demo_weights
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.site import Site

CARD = ("title", "creator", "terms")


@pytest.fixture
def config(root, monkeypatch):
    monkeypatch.chdir(root)
    return yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def own(config, tmp_path):
    """The config with a delivery of patients and all that a site must say."""
    for name in ("images", "weights"):
        (tmp_path / name).mkdir()
    (tmp_path / "reports.csv").write_text("report_id,text,dicom\n")
    places = {"dicom": str(tmp_path / "images"), "reports": str(tmp_path / "reports.csv")}
    config["deliveries"] = [{"name": "a", "references": None, "masks": None, "shards": 1} | places]
    config["privacy"]["key"] = str(tmp_path / "private" / "key")
    config["card"] |= OWN_DATA["card"]
    config["train"] |= OWN_DATA["train"]
    config["masks"]["weights"] = str(tmp_path / "weights")
    return config


def findings(config):
    with pytest.raises(ConfigError) as caught:
        check_config(config)
    return str(caught.value).splitlines()


def test_demo_has_its_card_without_a_word(config):
    card = check_config(config).card
    assert (card.title, card.creator, card.terms) == ("RefRad demo", "RefRad", "CC0-1.0")
    config["card"]["title"] = "My demo"
    assert check_config(config).card.title == "My demo"


def test_own_data_with_all_that_is_needed_are_accepted(own):
    assert check_config(own).card.terms == OWN_DATA["card"]["terms"]


@pytest.mark.parametrize("key", CARD)
def test_card_of_own_data_has_no_default(own, key):
    own["card"][key] = None
    (line,) = findings(own)
    assert line.startswith(f"config: card.{key}: missing") and "write " in line


@pytest.mark.parametrize("key", CARD)
@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_card_is_not_blank(own, key, blank):
    own["card"][key] = blank
    assert all(line.startswith(f"config: card.{key}: ") for line in findings(own))


@pytest.mark.parametrize(("key", "value"), [("title", "RefRad demo"), ("creator", "RefRad"), ("creator", " RefRad ")])
def test_card_of_an_edited_demo_config_is_refused(own, key, value):
    own["card"][key] = value
    (line,) = findings(own)
    assert line.startswith(f"config: card.{key}: is the demo's: write ")


def test_terms_of_the_demo_may_be_chosen(own):
    own["card"]["terms"] = "CC0-1.0"
    assert check_config(own).card.terms == "CC0-1.0"


def test_config_of_the_demo_with_own_deliveries_is_five_lines(own):
    own["privacy"]["key"], own["masks"]["weights"] = "demo/key", "workflow/demo_weights"
    own["card"] |= dict.fromkeys(CARD)
    lines = findings(own)
    places = [*(f"card.{key}" for key in CARD), "privacy.key", "masks.weights"]
    assert [line.split(": ")[1] for line in lines] == places
    assert all(len(line) < 200 for line in lines)


def test_demo_next_to_own_deliveries_brings_nothing_of_its_own(root, own):
    demo = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))["deliveries"]
    own["deliveries"] += demo
    own["card"] |= dict.fromkeys(CARD)
    assert [line.split(": ")[1] for line in findings(own)] == [f"card.{key}" for key in CARD]
    own["card"] |= OWN_DATA["card"]
    own["masks"]["weights"] = "workflow/demo_weights"
    assert len(findings(own)) == 1


@pytest.mark.parametrize("key", ["dicom", "reports"])
def test_delivery_with_one_foot_in_the_demo_is_no_demo(own, key):
    own["deliveries"][0][key] = f"demo/demo/{key}"
    own["card"]["terms"] = None
    assert any(line.startswith("config: card.terms: missing") for line in findings(own))


def test_run_of_own_data_has_its_own_name(own):
    own["train"]["name"] = "demo"
    (line,) = findings(own)
    assert line == "config: train.name: is the demo's: write a name for your run, such as site"
    own["train"]["model"] = None
    check_config(own)


def copied(source, target):
    shutil.copytree(source, target)


def linked(source, target):
    target.symlink_to(source)


@pytest.mark.parametrize("place", [copied, linked])
def test_demo_weights_are_known_under_any_name(root, own, tmp_path, place):
    place(root / "workflow" / "demo_weights", tmp_path / "networks")
    own["masks"]["weights"] = str(tmp_path / "networks")
    (line,) = findings(own)
    assert line.startswith("config: masks.weights: are the demo's") and "precomputed" in line


def test_weights_as_totalsegmentator_ships_them_are_no_demo(tmp_path):
    network = tmp_path / "Dataset298_TotalSegmentator_total_6mm_1559subj" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (network / "fold_0").mkdir(parents=True)
    for name in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth"):
        (network / name).touch()
    assert not is_demo_weights(tmp_path) and not is_demo_weights(tmp_path / "none")


def test_own_data_without_weights_are_refused(own):
    own["masks"]["weights"] = None
    (line,) = findings(own)
    assert line.startswith("config: masks.weights: missing: name the folder")


@pytest.mark.parametrize("weights", ["workflow/demo_weights", None, "/no/such/folder"])
def test_weights_that_are_not_read_do_not_count(own, weights):
    own["masks"] |= {"segmenter": "precomputed", "weights": weights}
    assert check_config(own).masks.weights is None  # nor do they stand on the card


@pytest.mark.parametrize("name", ["demo/key", "./demo/../demo/key", "copy"])
def test_demo_key_is_refused_before_anything_runs(own, tmp_path, name):
    if name == "copy":
        name = str(tmp_path / "copy")
        (tmp_path / "copy").write_bytes(b"refrad demo key 0123456789abcdef")
    own["privacy"]["key"] = name
    (line,) = findings(own)
    assert line.startswith("config: privacy.key: is the demo's") and "made at first use" in line


@pytest.mark.parametrize("key", ["index.include", "index.exclude"])
def test_wrong_list_is_refused_line_by_line_before_anything_runs(own, tmp_path, key):
    path = tmp_path / "list.csv"
    own["index"][key.partition(".")[2]] = str(path)
    assert findings(own) == [f"config: {key}: no such file: {path}"]
    path.write_text("kind,value\npatient,SECRET7\nregion,SECRET8\ndate,SECRET9\n")
    lines = findings(own)
    assert [line.partition(": the kind")[0].partition(": a date")[0] for line in lines] == [
        f"config: {key}: list.csv, line 3", f"config: {key}: list.csv, line 4",
    ]  # fmt: skip
    assert "SECRET" not in "".join(lines)
    path.write_text("kind,value\npatient,SECRET7\n")
    check_config(own)
    path.unlink()
    path.mkdir()
    assert findings(own) == [f"config: {key}: no such file: {path}"]


def test_list_without_lines_excludes_nobody_and_includes_nothing(own, tmp_path):
    (tmp_path / "list.csv").write_text("kind,value\n")
    own["index"]["exclude"] = str(tmp_path / "list.csv")
    check_config(own)
    own["index"]["include"] = str(tmp_path / "list.csv")
    (line,) = findings(own)
    assert line.startswith("config: index.include: has no line")


@pytest.mark.parametrize(
    ("section", "key"), [("privacy", "key"), ("privacy", "folder"), ("index", "include"), ("index", "exclude")]
)
@pytest.mark.parametrize("place", ["results/list.csv", "results/a/../b/list.csv", "link/list.csv"])
def test_private_file_inside_the_results_is_refused(own, tmp_path, section, key, place):
    for folder in ("results/a", "results/b"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "list.csv").write_text("kind,value\npatient,1\n")
    (tmp_path / "results" / "list.csv").write_text("kind,value\npatient,1\n")
    (tmp_path / "link").symlink_to(tmp_path / "results" / "a")
    own["pathvars"] = {"results": str(tmp_path / "results")}
    own[section][key] = str(tmp_path / place)
    (line,) = findings(own)
    assert line == f"config: {section}.{key}: is inside of results/, which is published: move it, such as to private/"


@pytest.mark.parametrize("name", ["forgotten", "review", "Review", "key", "out"])
def test_delivery_with_the_name_of_a_private_file_is_refused(own, tmp_path, name):
    (tmp_path / "private").mkdir(exist_ok=True)
    (tmp_path / "private" / "out").write_text("kind,value\npatient,1\n")
    own["privacy"]["folder"] = str(tmp_path / "private")
    own["index"]["exclude"] = str(tmp_path / "private" / "out")
    own["deliveries"][0]["name"] = name
    (line,) = findings(own)
    assert line.startswith("config: deliveries.0.name: is taken in ") and line.endswith("choose another name")


def test_fingerprint_has_the_keyed_digest_of_a_list_and_not_its_place(own, tmp_path):
    plain = Site(own).fingerprint("index")
    assert not (tmp_path / "private" / "key").exists()  # no list, no need for the key
    own["index"]["include"] = str(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_text("kind,value\npatient,4711\n")
    site = Site(own)
    text = site.fingerprint("index")
    assert text != plain and "4711" not in text and "list.csv" not in text
    assert Fingerprint.parse(text).options == Fingerprint.parse(plain).options
    (tmp_path / "list.csv").rename(tmp_path / "moved.csv")
    own["index"]["include"] = str(tmp_path / "moved.csv")
    assert Site(own).fingerprint("index") == text
    assert Site(own).choice.flags(None, {}) == f" --include {tmp_path}/moved.csv"
    own["privacy"]["key"] = str(tmp_path / "other")
    assert Site(own).fingerprint("index") != text
    assert {Site(own).fingerprint(stage) for stage in ("volumes", "captions")} == {
        site.fingerprint(stage) for stage in ("volumes", "captions")
    }


def test_site_of_generated_reports_alone_trains_no_model(own):
    own["deliveries"][0]["public_set"] = "abdomenatlas"
    (line,) = findings(own)
    assert line.startswith("config: deliveries: the reports of abdomenatlas were made from masks")
    own["train"]["model"] = None
    assert check_config(own).deliveries[0].public_set == "abdomenatlas"


def test_index_is_told_the_public_set_of_its_delivery(own):
    assert "--public-set" not in Site(own).delivered.words("a", "index")
    own["deliveries"][0]["public_set"] = "ct-rate"
    site = Site(own)
    assert site.delivered.words("a", "index")[-2:] == ["--public-set", "ct-rate"]
    assert "--public-set" not in site.delivered.words("a", "volumes")
