"""`refrad public-set`: a downloaded set becomes a delivery, and wrong folders and options are one line each."""

import os
import re
import shutil
import stat
from itertools import permutations

import polars as pl
import pytest
import yaml
from tests.factories.public_sets.abdomenatlas import write_abdomenatlas
from tests.factories.public_sets.ct_rate import SCANS, make_ct_rate
from tests.factories.public_sets.merlin import write_merlin
from tests.factories.public_sets.mr_rate import write_mr_rate
from tests.factories.public_sets.totalsegmentator import write_totalsegmentator

from refrad.cli import main
from refrad.config import check_config, load_config
from refrad.config.public_sets import PUBLIC_SETS
from refrad.nifti.headers import header_of_entry
from refrad.nifti.volume_list import read_entries

KEYS = {volume.scan for volume in SCANS} | {volume.patient for volume in SCANS}
SENTENCES = ("Trachea", "Cough", "Nodule")


REPLICAS = {
    "ct-rate": make_ct_rate,
    "mr-rate": write_mr_rate,
    "merlin": write_merlin,
    "totalsegmentator": write_totalsegmentator,
    "abdomenatlas": write_abdomenatlas,
}


@pytest.fixture
def ct_rate_root(tmp_path):
    return make_ct_rate(tmp_path / "CT-RATE")


@pytest.fixture
def out(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    return tmp_path / "new" / "site.yaml"


def run(*words):
    return main(["public-set", *map(str, words)])


def refused(capsys, *words):
    """The only line on stderr of a command that refuses its input."""
    assert run(*words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def checked(root, out):
    return check_config(load_config([root / "config.yaml", out]))


def test_config_is_complete_and_names_the_tables(root, ct_rate_root, out):
    assert run("ct-rate", "--root", ct_rate_root, "--out", out) == 0
    config = checked(root, out)
    (delivery,) = config.deliveries
    tables = out.parent / "site-tables"
    assert delivery.dicom is None and delivery.public_set == "ct-rate" and delivery.shards == 1
    assert delivery.volumes.folder == str(ct_rate_root / "dataset")
    assert delivery.volumes.table == str(tables / "volumes.parquet") and delivery.volumes.floor == -1024
    assert delivery.reports == str(tables / "reports.parquet")
    assert (delivery.masks, delivery.mask_table) == (
        str(ct_rate_root / "dataset" / "ts_seg" / "ts_total"),
        str(tables / "masks.csv"),
    )
    assert config.masks.segmenter == "precomputed"
    implausible = config.structures.implausible
    assert (implausible.sides, implausible.elsewhere) == ("quarantine", "quarantine")
    assert (config.card.title, config.train.name) == ("Grounded slices of CT-RATE", "ct-rate")
    assert "CC-BY-NC-SA-4.0" in config.card.terms and "Hamamci" in config.card.creator
    assert not os.path.lexists(config.privacy.key)  # it is made at the first run


def test_tables_have_a_row_for_each_volume_report_and_mask(ct_rate_root, out):
    run("ct-rate", "--root", ct_rate_root, "--out", out)
    tables = out.parent / "site-tables"
    volumes = pl.read_parquet(tables / "volumes.parquet")
    assert volumes["series"].to_list() == [
        "train_1_a_1",
        "train_1_b_1",
        "train_14384_a_1",
        "train_2_a_1",
        "valid_1_a_1",
    ]
    assert all((ct_rate_root / "dataset" / path).is_file() for path in volumes["path"])
    reports = pl.read_parquet(tables / "reports.parquet")
    assert set(reports["study_uid"]) == set(volumes["study"])
    masks = pl.read_csv(tables / "masks.csv")
    assert masks.columns == ["volume", "mask"] and masks["volume"].to_list() == volumes["path"].to_list()
    assert all((ct_rate_root / "dataset" / "ts_seg" / "ts_total" / path).is_file() for path in masks["mask"])


def test_options_reach_the_adapter(ct_rate_root, out, tmp_path):
    words = ["--reconstruction", "all", "--resplit", "--validation", "0.999"]
    (tmp_path / "none").mkdir()
    assert run("ct-rate", "--root", ct_rate_root, "--out", out, *words, "--masks", tmp_path / "none") == 0
    volumes = pl.read_parquet(out.parent / "site-tables" / "volumes.parquet")
    assert len(volumes) == 10  # five scans, three of them with two volumes, and train_5
    assert set(volumes["split"]) <= {"validation", "test"}
    assert not (out.parent / "site-tables" / "masks.csv").exists()


def test_printed_counts_add_up_and_hold_no_key_path_or_text(ct_rate_root, out, capsys):
    run("ct-rate", "--root", ct_rate_root, "--out", out)
    printed = capsys.readouterr().out
    sums = re.findall(r"^(\w+): (\d+) delivered = (.*)$", printed, re.MULTILINE)
    assert [kind for kind, _, _ in sums] == ["volumes", "reports"]
    for _, total, parts in sums:
        assert sum(int(part.split()[0]) for part in parts.split(" + ")) == int(total) == 15
    assert "patients in several official splits: 1, left out; --resplit" in printed
    assert "masks: of 5 of 5 volumes" in printed
    assert "30 slices (by the tables of the set)" in printed and re.search(r"^all .*[kMG]B", printed, re.MULTILINE)
    assert "--configfile config.yaml" in printed.splitlines()[-1]
    for secret in (*KEYS, *SENTENCES, "train_fixed/"):
        assert secret not in printed


def test_estimate_is_of_the_config_files_that_are_named(root, ct_rate_root, out, tmp_path, capsys):
    above = tmp_path / "above.yaml"
    above.write_text("train: {model: null}\n", encoding="utf-8")
    run("ct-rate", "--root", ct_rate_root, "--out", out, "--config", root / "config.yaml", above)
    printed = capsys.readouterr().out
    assert not re.search(r"^train ", printed, re.MULTILINE) and str(above) in printed.splitlines()[-1]


def test_recipe_without_the_defaults_is_refused(root, ct_rate_root, out, capsys):
    recipe = root / "workflow" / "recipes" / "refrad2d.yaml"
    assert run("ct-rate", "--root", ct_rate_root, "--out", out, "--config", recipe) == 1
    lines = capsys.readouterr().err.splitlines()
    assert "missing; name config.yaml before your own file" in lines[0]
    assert all(line.removeprefix("refrad public-set: ").startswith("config: ") for line in lines)


def test_downloads_that_have_not_ended_are_a_note(ct_rate_root, out, capsys):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for path in (ct_rate_root / "dataset" / "train_fixed").rglob("*.nii.gz"):
        path.write_text(pointer, encoding="utf-8")
    next((ct_rate_root / "dataset" / "valid_fixed" / "valid_1").rglob("*_1.nii.gz")).write_bytes(b"")
    assert run("ct-rate", "--root", ct_rate_root, "--out", out) == 0
    assert (
        "note: of 5 volumes whose headers were read, some cannot be used: 4 not nifti, 1 unreadable"
        in capsys.readouterr().out
    )


def test_split_without_a_patient_is_a_note(ct_rate_root, out, capsys):
    shutil.rmtree(ct_rate_root / "dataset" / "valid_fixed")
    run("ct-rate", "--root", ct_rate_root, "--out", out, "--validation", 0)
    printed = capsys.readouterr().out
    assert "note: no patient is in validation or test" in printed


def test_either_a_config_or_an_estimate_is_made(ct_rate_root, out, capsys):
    for words in ([], ["--out", out, "--estimate"]):
        assert "--estimate, which writes none" in refused(capsys, "ct-rate", "--root", ct_rate_root, *words)
    shutil.rmtree(ct_rate_root / "dataset" / "train_fixed")
    shutil.rmtree(ct_rate_root / "dataset" / "valid_fixed")
    before = sorted(ct_rate_root.rglob("*"))
    assert run("ct-rate", "--root", ct_rate_root, "--estimate") == 0
    assert "volumes: 16 delivered" in capsys.readouterr().out
    assert sorted(ct_rate_root.rglob("*")) == before and not out.parent.exists()


def test_estimate_writes_no_keys_and_reports_to_the_temporary_folder(ct_rate_root, out, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("refrad.commands.public_set.write_entries", lambda path, _: written.append(path))
    assert run("ct-rate", "--root", ct_rate_root, "--estimate") == 0
    assert not written
    run("ct-rate", "--root", ct_rate_root, "--out", out)
    assert len(written) == 1


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_outputs_are_for_their_owner_only(ct_rate_root, out, umask):
    out.parent.mkdir()
    before = os.umask(umask)
    try:
        run("ct-rate", "--root", ct_rate_root, "--out", out)
    finally:
        os.umask(before)
    for path in (out, *(out.parent / "site-tables").rglob("*"), out.parent / "site-tables"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name


def test_a_set_without_masks_needs_weights(root, ct_rate_root, out, capsys):
    shutil.rmtree(ct_rate_root / "dataset" / "ts_seg")
    assert run("ct-rate", "--root", ct_rate_root, "--out", out) == 0
    assert "fill in masks.weights" in capsys.readouterr().out.splitlines()[-1]
    config = yaml.safe_load(out.read_text(encoding="utf-8"))
    assert config["masks"]["segmenter"] == "totalsegmentator" and config["deliveries"][0]["masks"] is None
    with pytest.raises(ValueError, match=r"^config: masks\.weights: no such file or folder: [^\n]*$"):
        checked(root, out)


@pytest.mark.parametrize("there", ["site.yaml", "site-tables"])
def test_existing_outputs_stay(ct_rate_root, out, capsys, there):
    out.parent.mkdir()
    (out.parent / there).write_text("mine", encoding="utf-8")
    assert f"{there} exists already" in refused(capsys, "ct-rate", "--root", ct_rate_root, "--out", out)
    assert [path.name for path in out.parent.iterdir()] == [there]


def test_nothing_is_written_if_nothing_can_be_used(ct_rate_root, out, capsys):
    for path in (ct_rate_root / "dataset" / "radiology_text_reports").iterdir():
        path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    assert "nothing can be used" in refused(capsys, "ct-rate", "--root", ct_rate_root, "--out", out)
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ctrate", "did you mean ct-rate?"),
        ("CT-RATE", "did you mean ct-rate?"),
        ("merlin-plus", "did you mean merlin?"),
        ("imagenet", "There are ct-rate, mr-rate, merlin, totalsegmentator, abdomenatlas"),
    ],
)
def test_unknown_set_is_refused_with_the_nearest(tmp_path, out, capsys, name, line):
    assert line in refused(capsys, name, "--root", tmp_path, "--out", out)


@pytest.mark.parametrize(
    ("inside", "nearest"),
    [
        ("CT-RATE/dataset", "CT-RATE"),
        ("CT-RATE/dataset/train_fixed", "CT-RATE"),
        (".", "CT-RATE"),
    ],
)
def test_root_too_deep_or_too_high_names_the_right_one(ct_rate_root, out, capsys, inside, nearest):
    line = refused(capsys, "ct-rate", "--root", ct_rate_root.parent / inside, "--out", out)
    assert "holds no CT-RATE, of which it needs dataset/train_fixed" in line
    assert line.endswith(f"is it {ct_rate_root.parent / nearest}?")


def test_root_of_another_set_names_that(ct_rate_root, out, capsys):
    line = refused(capsys, "totalsegmentator", "--root", ct_rate_root, "--out", out)
    assert line.endswith("it looks like ct-rate")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--root", "nowhere"], "--root nowhere: no such folder"),
        (["--validation", "1"], "--validation: is a share of the patients, from 0 to below 1"),
        (["--validation", "-0.1"], "--validation: is a share of the patients, from 0 to below 1"),
        (["--masks", "nowhere"], "--masks nowhere: no such folder"),
        (["--reconstruction", "B99"], "no volume has such a kernel"),
        (["--tables", "tests"], "ct-rate does not read --tables: leave it out"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["--config", "Snakefile"], "Snakefile"),
        (["--out", "site"], "--out site: is the config, such as site.yaml"),
    ],
)
def test_wrong_options_are_one_line(ct_rate_root, out, capsys, words, line):
    assert line in refused(capsys, "ct-rate", "--root", ct_rate_root, "--out", out, *words)
    assert not out.parent.exists()


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_each_set_becomes_a_delivery_of_its_volumes(root, out, tmp_path, capsys, name):
    REPLICAS[name](tmp_path / "set")
    assert run(name, "--root", tmp_path / "set", "--out", out) == 0
    printed = capsys.readouterr().out
    config = load_config([root / "config.yaml", out])
    if config["masks"]["segmenter"] == "totalsegmentator":
        config["masks"]["weights"] = str(tmp_path)  # that is all that is to be filled in
    (delivery,) = check_config(config).deliveries
    entries = list(read_entries(delivery.volumes))
    assert entries and not [entry.problem for entry in entries if entry.problem]
    assert len({bool(entry.split) for entry in entries}) == 1  # all or none have an official split
    splits = {(entry.patient, entry.split) for entry in entries}
    assert len(splits) == len({patient for patient, _ in splits})
    headers = [header_of_entry(tmp_path / "set" / delivery.volumes.folder, entry) for entry in entries]
    assert [header.reason for header in headers] == [None] * len(entries)
    reports = pl.read_parquet(delivery.reports)
    assert set(reports["study_uid"]) <= {entry.study for entry in entries}
    for total, parts in re.findall(r"^\w+: ([\d,]+) delivered = (.*)$", printed, re.MULTILINE):
        assert sum(int(part.split()[0]) for part in parts.split(" + ")) == int(total)
    for entry in entries:
        assert entry.path not in printed and entry.study not in printed


@pytest.mark.parametrize(("name", "other"), list(permutations(PUBLIC_SETS, 2)))
def test_root_of_a_set_is_that_of_no_other_set(out, tmp_path, capsys, name, other):
    REPLICAS[other](tmp_path / "set")
    assert refused(capsys, name, "--root", tmp_path / "set", "--out", out).endswith(f"it looks like {other}")
