"""What a site has stored is verified as a whole."""

import contextlib
import shutil
import sqlite3
from types import SimpleNamespace

import pytest
import yaml
from tests.factories import describe_dataset, write_shards
from tests.factories.study import Study

from refrad.cli import main
from refrad.core.contracts import MaskTable, SliceTable
from refrad.core.manifests import write_manifest, write_sealed
from refrad.core.tables import read_table
from refrad.dataset.shard_io import read_rows
from refrad.llm.store import Store, Usage
from refrad.training.checkpoint import Checkpoints


@pytest.fixture
def site(root, tmp_path, monkeypatch):
    """The tables and stores of a small run, with the config that names them."""
    folder = tmp_path / "results" / "volumes" / "demo" / "0"
    folder.mkdir(parents=True)
    study = Study(folder)
    (tmp_path / "stores").mkdir()
    study.volume_store.rename(tmp_path / "stores" / "volumes")
    study.mask_store.rename(tmp_path / "stores" / "masks")
    mask = {"volume": "v", "task": "total", "segmenter": "precomputed", "weights": None, "reason": None}
    study.write(MaskTable, "masks", [mask | {"digest": study.labels_digest, "file": "v.nii.gz", "labels": 3}])
    store = Store(tmp_path / "stores" / "llm")
    store.put("0" * 32, "rewrite", "test", '"x"', None, Usage(1, 1, 0.1))
    store.close()
    for name in ("workflow", "config.yaml"):
        (tmp_path / name).symlink_to(root / name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"stores": "stores"}))
    return SimpleNamespace(study=study, stores=tmp_path / "stores")


def check():
    return main(["check", "config.yaml", "own.yaml"])


def spoil(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.usefixtures("site")
def test_sound_site_is_counted(capsys):
    assert check() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 tables, 2 volumes and masks, 2 files of answers"
    assert lines[1].startswith("0 entries of the stores are in no table")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            lambda site: site.study.path("slices"),
            "is damaged: delete it and run snakemake --force results/volumes/demo/0/slices.parquet",
        ),
        (
            lambda site: site.stores / "volumes" / site.study.file,
            "snakemake --force results/volumes/demo/0/volumes.parquet",
        ),
        (lambda site: site.stores / "masks" / "v.nii.gz", "snakemake --force results/volumes/demo/0/masks.parquet"),
        (lambda site: next((site.stores / "llm" / "answers").iterdir()), "requests its answers again"),
        (lambda site: next((site.stores / "llm").glob("*.sqlite")), "requests the others again"),
    ],
    ids=["table", "volume", "mask", "answers", "database"],
)
def test_damaged_file_is_named_with_its_remedy(site, capsys, file, words):
    path = file(site)
    if path.suffix == ".sqlite":
        path.write_bytes(b"no database" * 99)
    else:
        spoil(path)
    assert check() == 1
    captured = capsys.readouterr()
    (line,) = [line for line in captured.out.splitlines() if "damaged" in line]
    assert path.name in line and words in line
    assert "1 of 8 files are damaged or missing" in captured.err


# The dataset and its list


@pytest.fixture
def dataset(site, images):
    """The dataset of the site, with its card and the counts of the stages."""
    results = results_of(site)
    rows = list(read_rows([images]))
    files = write_shards(results / "shards", {"a/0": rows[::2], "b/0": rows[1::2]})
    for shard in ("a/0", "b/0"):
        counts = results / "shards" / "metrics" / shard / "metrics.json"
        counts.parent.mkdir(parents=True)
        write_sealed(counts, {"n": 1}, [path for path in files if f"/data/{shard}/" in str(path)])
    describe_dataset(results / "shards", files)
    return results / "shards"


@pytest.mark.usefixtures("dataset")
def test_sound_dataset_is_as_its_list_says(capsys):
    assert check() == 0
    assert capsys.readouterr().out.splitlines()[-1] == "all are sound"


@pytest.mark.parametrize("counts", [True, False])
def test_missing_or_damaged_file_of_the_list_is_named_once(dataset, capsys, counts):
    if not counts:
        shutil.rmtree(dataset / "metrics")
    (dataset / "data/a/0/test.parquet").unlink()
    spoil(dataset / "data/b/0/train.parquet")
    assert check() == 1
    captured = capsys.readouterr()
    lines = [line for line in captured.out.splitlines() if "parquet" in line and not line.startswith("once")]
    assert sorted(line.split(" ", 1)[0] for line in lines) == [
        "results/shards/data/a/0/test.parquet",
        "results/shards/data/b/0/train.parquet",
    ]
    assert all("snakemake --force results/shards/data/" in line for line in lines) and "2 of" in captured.err


def test_sound_file_that_is_not_the_listed_one_is_named(dataset, capsys):
    shutil.rmtree(dataset / "metrics")
    shutil.copy(dataset / "data/a/0/train.parquet", dataset / "data/b/0/train.parquet")
    assert check() == 1
    lines = [
        line for line in capsys.readouterr().out.splitlines() if "but not the file that croissant.json lists" in line
    ]
    (line,) = lines
    assert line.startswith("results/shards/data/b/0/train.parquet") and line.endswith(
        "--force results/shards/README.md"
    )


def test_damaged_list_is_named(dataset, capsys):
    (dataset / "croissant.json").write_text("{")
    assert check() == 1
    assert "results/shards/croissant.json is damaged" in capsys.readouterr().out


def test_file_that_the_list_does_not_name_is_moved_by_the_card(dataset, capsys):
    stray = dataset / "data" / "notes.parquet"
    stray.write_bytes(b"of the user")
    assert check() == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "notes" in line]
    assert line.startswith("results/shards/data/notes.parquet is not in croissant.json: run snakemake --force")
    assert "results/shards/README.md, which moves it out" in line


def test_files_of_former_deliveries_are_counted_apart(dataset, capsys):
    former = dataset.parent / "former"
    for folder in ("data", "metrics"):
        (former / folder).mkdir(parents=True)
        (dataset / folder / "b").rename(former / folder / "b")
    spoil(former / "data/b/0/train.parquet")
    (former / "old/0").mkdir(parents=True)
    (former / "old/0/images.parquet").write_bytes(b"of an earlier release")
    describe_dataset(dataset, sorted((dataset / "data").rglob("*.parquet")))
    assert check() == 0
    assert "4 tables in results/former have left the dataset and are not checked" in capsys.readouterr().out


def results_of(site):
    return site.stores.parent / "results"


def test_database_of_an_earlier_release_is_counted_apart(site, capsys):
    path = next((site.stores / "llm").glob("*.sqlite"))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("alter table replies drop column checksum")
    assert check() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "1 files are of an earlier release, without checksums: not checked"
    assert lines[-1] == "all others are sound"


def test_damaged_database_of_an_earlier_release_is_named(site, capsys):
    path = next((site.stores / "llm").glob("*.sqlite"))
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("alter table replies drop column checksum")
    path.write_bytes(path.read_bytes()[:5000])
    assert check() == 1
    assert f"{path.name} is damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "train/x/model.safetensors",
            "x is damaged (model.safetensors): delete it and run snakemake --force results/train/x",
        ),
        ("train/x/README.md", "x is whole, but for README.md"),
        ("train/x/digests.json", "x is damaged (digests.json)"),
        ("adapt/y.work/step-000000001.pt", "step-000000001.pt is damaged: the training goes back"),
        ("train/x.metrics.json", "x.metrics.json is damaged: delete it and run snakemake --force"),
        ("evaluate/x/truth.jsonl", "truth.jsonl is damaged: delete it and run snakemake --force"),
        ("report/index.html", "report is damaged (index.html): run snakemake --force results/report/index.html"),
        ("status/index.html", "status is damaged (index.html): refrad status writes it again"),
    ],
)
def test_damaged_files_of_trainings_and_pages_are_named(site, capsys, name, words):
    results = results_of(site)
    for path in (
        "train/x/model.safetensors",
        "train/x/README.md",
        "evaluate/x/truth.jsonl",
        "report/index.html",
        "status/index.html",
    ):
        (results / path).parent.mkdir(parents=True, exist_ok=True)
        (results / path).write_bytes(b"content of some length")
    for folder in ("train/x", "report", "status"):
        write_manifest(results / folder)
    write_sealed(results / "train" / "x.metrics.json", {"n": 1})
    write_sealed(results / "evaluate" / "x" / "metrics.json", {"n": 1}, [results / "evaluate" / "x" / "truth.jsonl"])
    Checkpoints(results / "adapt" / "y.work", "y").save({"step": 1})
    assert check() == 0
    capsys.readouterr()
    spoil(results / name)
    assert check() == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "damaged" in line or "but for" in line]
    assert words in line


def test_files_without_manifests_are_of_an_earlier_release(site, capsys):
    results = results_of(site)
    (results / "train" / "x").mkdir(parents=True)
    (results / "train" / "x.metrics.json").write_text("{}")
    assert check() == 0
    assert "2 files are of an earlier release" in capsys.readouterr().out


def test_table_of_another_shard_is_named(site, capsys):
    slices = site.study.path("slices")
    write_sealed(slices.with_name("metrics.json"), {"n": 1}, [slices])
    assert check() == 0
    frame = read_table(slices, SliceTable)
    site.study.write(SliceTable, "slices", frame.head(1).to_dicts())
    assert check() == 1
    assert "slices.parquet is not the table that its job wrote" in capsys.readouterr().out
    slices.unlink()
    assert check() == 1
    assert "slices.parquet is missing: run snakemake --force" in capsys.readouterr().out


def test_damaged_answers_of_a_trained_model_are_counted(site, capsys):
    (site.stores / "answers").mkdir()
    (site.stores / "answers" / "m.jsonl").write_text('00000000 ["k", "text"]\n')
    assert check() == 1
    assert "m.jsonl is damaged: the next evaluation generates 1 of its answers again" in capsys.readouterr().out


def test_missing_entry_is_named_and_unnamed_ones_are_counted(site, capsys):
    volume = site.stores / "volumes" / site.study.file
    volume.rename(volume.with_name("other.nii.gz"))
    assert check() == 1
    lines = capsys.readouterr().out
    assert f"{site.study.file} is missing: run snakemake --force" in lines and "1 entries of the stores" in lines
