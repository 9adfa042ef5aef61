"""What a site has stored is verified as a whole."""

from types import SimpleNamespace

import pytest
import yaml
from tests.factories.study import Study

from refrad.cli import main
from refrad.core.contracts import MaskTable
from refrad.llm.store import Store, Usage


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
    assert lines[0] == "3 tables, 2 volumes and masks, 2 files of answers"
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
    assert "1 of 7 files are damaged or missing" in captured.err


def test_missing_entry_is_named_and_unnamed_ones_are_counted(site, capsys):
    volume = site.stores / "volumes" / site.study.file
    volume.rename(volume.with_name("other.nii.gz"))
    assert check() == 1
    lines = capsys.readouterr().out
    assert f"{site.study.file} is missing: run snakemake --force" in lines and "1 entries of the stores" in lines
