"""Each set, from its replica to a config that the workflow accepts; what is printed holds no key, path or text."""

import polars as pl
import pytest
from tests.factories.public_sets.abdomenatlas import write_abdomenatlas
from tests.factories.public_sets.merlin import write_merlin, write_merlin_masks
from tests.factories.public_sets.mr_rate import write_mr_rate
from tests.factories.public_sets.totalsegmentator import write_totalsegmentator

from refrad.cli import main
from refrad.config import ConfigError, check_config, load_config
from refrad.config.public_sets import PUBLIC_SETS
from refrad.nifti.volume_list import read_entries
from refrad.sources.reports import read_reports


def _write_merlin_with_plus(root):
    write_merlin(root, root / "plus")
    write_merlin_masks(root / "plus", "classes")


SETS = {
    "mr-rate": (write_mr_rate, [], ("study_0", "p1", "1.2.", "Ventricles", "Headache")),
    "merlin": (_write_merlin_with_plus, ["--masks", "plus"], ("AC42", "Merlin_", "Liver", "Gallbladder")),
    "totalsegmentator": (write_totalsegmentator, [], ("s0011", "s0260", "lesion of", "Cyst")),
    "abdomenatlas": (write_abdomenatlas, [], ("BDMAP_000", "Pancreas", "Liver:")),
}


@pytest.mark.parametrize("name", sorted(SETS))
def test_set_becomes_a_site_that_the_workflow_accepts(root, tmp_path, monkeypatch, capsys, name):
    write, words, private = SETS[name]
    folder = tmp_path / "set"
    write(folder)
    monkeypatch.chdir(root)
    words = [str(folder / word) if not word.startswith("--") else word for word in words]
    out = tmp_path / "site.yaml"
    assert main(["public-set", name, "--root", str(folder), "--out", str(out), *words]) == 0
    printed = capsys.readouterr().out
    assert not [text for text in private if text in printed]
    (tmp_path / "weights.yaml").write_text(f"masks: {{weights: {tmp_path}}}\n")
    config = check_config(load_config([root / "config.yaml", out, tmp_path / "weights.yaml"]), downloads=False)
    (delivery,) = config.deliveries
    assert delivery.public_set == name and config.card.title == f"Grounded slices of {PUBLIC_SETS[name].title}"
    entries = list(read_entries(delivery.volumes))
    assert entries and not [entry.problem for entry in entries if entry.problem]
    assert {entry.study for entry in entries} == {
        report.study_uid for report in read_reports(tmp_path / "site-tables" / "reports.parquet", lambda _: False)
    }
    splits = pl.DataFrame({"patient": [e.patient for e in entries], "split": [e.split for e in entries]}).unique()
    assert splits["patient"].is_unique().all()


def test_site_with_own_data_states_its_own_terms(root, tmp_path, monkeypatch):
    """Else the patients of the site would be under the license of the set."""
    write_totalsegmentator(tmp_path / "set")
    monkeypatch.chdir(root)
    out = tmp_path / "site.yaml"
    assert main(["public-set", "totalsegmentator", "--root", str(tmp_path / "set"), "--out", str(out)]) == 0
    config = load_config([root / "config.yaml", out])
    config["masks"]["weights"] = str(tmp_path)
    own = config["deliveries"][0] | {"name": "hospital", "public_set": None}
    config["deliveries"] = [*config["deliveries"], own]
    with pytest.raises(ConfigError, match=r"card.terms: are those of totalsegmentator"):
        check_config(config, downloads=False)
    config["card"]["terms"] = "Internal use only"
    assert check_config(config, downloads=False).card.terms == "Internal use only"


def test_tables_may_be_one_table(root, tmp_path, monkeypatch):
    write_totalsegmentator(tmp_path / "set", image="mri.nii.gz")
    (tmp_path / "own.csv").write_text("image_id,report\ns0011,Liver normal.\n")
    monkeypatch.chdir(root)
    words = ["--root", tmp_path / "set", "--tables", tmp_path / "own.csv", "--out", tmp_path / "site.yaml"]
    assert main(["public-set", "totalsegmentator", *map(str, words)]) == 0
    assert pl.read_parquet(tmp_path / "site-tables" / "reports.parquet")["text"].to_list() == ["Liver normal."]
