"""Stage card: the dataset card, Croissant and RO-Crate metadata, and leaks between the splits."""

import json

import polars as pl
import pytest
from tests.factories import describe_dataset, write_shards

from refrad.config.public_sets import PUBLIC_SETS
from refrad.core.tables import write_table
from refrad.core.types import SPLITS
from refrad.dataset.columns import BACKENDS
from refrad.dataset.dataset_card import DatasetInfo
from refrad.dataset.shard_io import read_rows
from refrad.privacy.persons import PersonTable
from refrad.workflow.fingerprint import Fingerprint

DESCRIPTION = {"title": "A small set", "creator": "Some site"}
SOURCES = {
    "masks": Fingerprint("masks", 1, {"segmenter": "totalsegmentator", "weights": "a/demo_weights"}, {}),
    "grounded": Fingerprint("grounded", 1, {"mode": "expand"}, {}),
}


def describe(folder, rows, persons=None, sources=SOURCES):
    """The files of the stage for two shards of rows, and its metrics."""
    half = len(rows) // 2
    paths = write_shards(folder, {"a/0": rows[:half], "a/1": rows[half:]}, sources)
    return describe_dataset(folder, paths, persons, **DESCRIPTION)


@pytest.fixture(scope="module")
def rows(images):
    """One patient for each split."""
    return [row | {"patient": row["split"], "study": row["split"]} for row in read_rows([images])]


@pytest.fixture(scope="module")
def described(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("dataset")
    describe(folder, rows)
    return folder


def test_card_numbers_are_those_of_the_data(described, rows):
    text = (described / "README.md").read_text()
    counts = [sum(row["split"] == split for row in rows) for split in ("train", "validation", "test")]
    assert "| images | " + " | ".join(map(str, [*counts, len(rows)])) + " |" in text
    assert f"| liver | {len(rows)} |" in text and "| boxes | 48 | 8 | 12 | 68 |" in text
    assert "By patient: the official splits of a delivery that has some" in text and "Nothing crosses." in text


DEMO_MASKS = SOURCES["masks"].options


@pytest.mark.parametrize(
    ("segmenter", "masks", "warns"),
    [
        ("totalsegmentator fastest", DEMO_MASKS, True),  # as versions before named it
        ("totalsegmentator fastest, demo weights", {}, True),
        ("totalsegmentator fastest, demo weights, of another series", {}, True),
        ("totalsegmentator total", DEMO_MASKS | {"weights": "/data/demo_weights_of_2024"}, False),
        ("precomputed", DEMO_MASKS | {"segmenter": "precomputed"}, False),
        ("precomputed", {"segmenter": "precomputed", "weights": None}, False),
    ],
)
def test_card_warns_where_demo_weights_made_the_masks(tmp_path, rows, segmenter, masks, warns):
    provenance = dict.fromkeys(BACKENDS) | {"segmenter": segmenter, "fingerprints": None}
    changed = [row | {"provenance": provenance} for row in rows]
    describe(tmp_path, changed, sources={"masks": Fingerprint("masks", 1, masks, {})})
    assert ("of no use for real patients" in (tmp_path / "README.md").read_text()) == warns


@pytest.mark.parametrize(("segmenter", "by_hand"), [("totalsegmentator total", False), ("precomputed", True)])
def test_card_denies_masks_drawn_by_hand_only_where_a_model_made_them(tmp_path, rows, segmenter, by_hand):
    provenance = dict.fromkeys(BACKENDS) | {"segmenter": segmenter, "fingerprints": None}
    describe(tmp_path, [row | {"provenance": provenance} for row in rows])
    text = (tmp_path / "README.md").read_text()
    assert ("No mask was drawn by hand" in text) != by_hand
    assert ("Masks were delivered with the images" in text) == by_hand


def test_leak_is_on_the_card_and_counted(tmp_path, images):
    leaky = [row | {"patient": "p", "study": "s"} for row in read_rows([images])]
    metrics = describe(tmp_path, leaky)
    assert metrics["tables"]["in more than one split"] == {"patients": 1, "studies": 1, "pictures": 0}
    assert "Not to be published" in (tmp_path / "README.md").read_text()
    assert json.loads((tmp_path / "leakage.json").read_text())["total"] == 2


@pytest.mark.parametrize(("crossing", "patient_ids"), [(True, "folded"), (False, "exact")])
def test_card_says_what_was_looked_for(tmp_path, rows, described, crossing, patient_ids):
    assert "Not looked for: equal names" in (described / "README.md").read_text()
    persons = pl.DataFrame(
        {"patient": ["train", "test"], "split": ["train", "test"], "person": ["x", "x" if crossing else "y"]},
    ).with_columns(issuer=pl.lit(None, pl.String))
    index = Fingerprint("index", 1, {"patient_ids": patient_ids}, {})
    write_table(tmp_path / "persons.parquet", persons, PersonTable, index)
    metrics = describe(tmp_path, rows, persons=[tmp_path / "persons.parquet"])
    assert metrics["tables"]["patients that may be one person"] == {"in more than one split": int(crossing)}
    leakage = json.loads((tmp_path / "leakage.json").read_text())
    assert leakage["persons"] == ([["test", "train"]] if crossing else []) and leakage["total"] == 0
    text = (tmp_path / "README.md").read_text()
    assert f"{int(crossing)} possible same patients" in text and "Nothing crosses." in text
    assert ("padding zeros" in text) == (patient_ids == "folded")


def test_folder_with_the_card_loads_as_a_dataset(described, rows, tmp_path):
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(described), cache_dir=str(tmp_path))
    assert {split: set(part["split"]) for split, part in loaded.items()} == {split: {split} for split in SPLITS}
    assert sum(map(len, loaded.values())) == len(rows) and loaded["train"][0]["image"].size == (64, 64)


def test_croissant_is_valid_and_reads_the_rows(described, rows):
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(jsonld=str(described / "croissant.json"))
    issues = dataset.metadata.ctx.issues
    assert not issues.errors and not issues.warnings
    read = {record["images/image_id"].decode(): record for record in dataset.records("images")}
    assert set(read) == {row["image_id"] for row in rows}
    assert read["i0003"]["images/image"].size == (64, 64)
    assert read["i0003"]["images/structures"][0]["images/structures/class_id"] == 5


def test_croissant_and_crate_hold_the_digest_of_each_file(described):
    import hashlib

    digests = {
        path.relative_to(described).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in described.rglob("*.parquet")
    }
    told = json.loads((described / "croissant.json").read_text())["distribution"]
    assert {one["contentUrl"]: one["sha256"] for one in told if "sha256" in one} == digests
    graph = json.loads((described / "ro-crate-metadata.json").read_text())["@graph"]
    assert {one["@id"]: one["sha256"] for one in graph if "sha256" in one} == digests


def test_crate_opens_and_has_each_stage_run(described):
    rocrate = pytest.importorskip("rocrate.rocrate")
    crate = rocrate.ROCrate(str(described))
    assert crate.name == "A small set" and {one.id for one in crate.data_entities} >= {"data/a/0/train.parquet"}
    fingerprint = crate.dereference("#grounded-fingerprint")["value"]
    assert Fingerprint.parse(fingerprint) == SOURCES["grounded"]


def test_dataset_without_images_has_a_card(tmp_path):
    metrics = describe(tmp_path, [])
    assert metrics["flow"]["taken"] == 0 and "| images | 0 | 0 | 0 | 0 |" in (tmp_path / "README.md").read_text()


@pytest.fixture(scope="module")
def of_sets(tmp_path_factory, rows):
    """A dataset of the site's own images, CT-RATE and, in split train, AbdomenAtlas."""
    folder = tmp_path_factory.mktemp("of_sets")
    sources = {"train": "abdomenatlas", "validation": None, "test": "ct-rate"}
    describe(folder, [row | {"public_set": sources[row["split"]]} for row in rows])
    return folder


def section(card, title):
    return card.split(f"## {title}\n")[1].split("\n## ")[0]


def test_card_has_a_line_for_each_public_set_with_rows(of_sets, described, rows):
    text = section((of_sets / "README.md").read_text(), "Public sets")
    tested = sum(row["split"] == "test" for row in rows)
    assert f"(`ct-rate`) | {tested} | CC-BY-NC-SA-4.0 (gated" in text and "(`abdomenatlas`)" in text
    assert "merlin" not in text and "The reports of AbdomenAtlas 3.0 Mini were generated from masks" in text
    assert "Public sets" not in (described / "README.md").read_text()


def test_page_of_the_stage_has_the_terms_of_each_set(of_sets, rows):
    metrics = json.loads(of_sets.with_name(f"{of_sets.name}.json").read_text())
    table = metrics["tables"]["images of public sets"]
    assert sum(table.values()) == sum(row["split"] != "validation" for row in rows)
    assert any(name.startswith("CT-RATE (images and reports and masks: CC-BY-NC-SA-4.0") for name in table)


def test_terms_that_are_those_of_the_set_stand_once():
    entry = PUBLIC_SETS["ct-rate"]
    assert DatasetInfo("a", "b", entry.describe_terms(), [entry]).all_terms == f"CT-RATE: {entry.describe_terms()}"
    assert DatasetInfo("a", "b", "CC0-1.0", [entry]).all_terms == f"CC0-1.0. CT-RATE: {entry.describe_terms()}"


def test_card_cites_the_public_sets_and_the_dataset(of_sets):
    text = section((of_sets / "README.md").read_text(), "Citation")
    assert "Some site: A small set." in text and "arXiv:2403.17834" in text and "arXiv:2501.04678" in text


def test_columns_of_the_card_have_the_terms_of_their_sources(of_sets):
    lines = (of_sets / "README.md").read_text().splitlines()
    (captions,) = (line for line in lines if line.startswith("| `captions` |"))
    assert all(
        words in captions for words in ("site: ", "CT-RATE: ", "AbdomenAtlas 3.0 Mini: ", "generated from masks")
    )


def test_croissant_lists_each_license_and_is_valid(of_sets):
    mlcroissant = pytest.importorskip("mlcroissant")
    metadata = mlcroissant.Dataset(jsonld=str(of_sets / "croissant.json")).metadata
    assert not metadata.ctx.issues.errors and not metadata.ctx.issues.warnings
    site, *of_parts = metadata.license
    assert "https://spdx.org/licenses/CC-BY-NC-SA-4.0" in of_parts and metadata.sd_licence == [site]
    assert any(text.startswith("AbdomenAtlas 3.0 Mini, CC BY-NC-SA") for text in of_parts) and len(of_parts) == 2
    assert "arXiv:2403.17834" in metadata.cite_as
    (field,) = (field for field in metadata.record_sets[0].fields if field.name == "captions")
    assert "CT-RATE: CC-BY-NC-SA-4.0" in field.description


def test_crate_has_the_terms_of_the_sets(of_sets):
    graph = json.loads((of_sets / "ro-crate-metadata.json").read_text())["@graph"]
    (root,) = (entry for entry in graph if entry["@id"] == "./")
    assert "CT-RATE" in root["license"] and "AbdomenAtlas" in root["license"]
