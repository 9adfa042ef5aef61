"""Files without checksums inside are verified by those of their folder or job."""

import json
import shutil

import pytest

from refrad.core.checksums import TableError
from refrad.core.manifests import (
    MANIFEST,
    changed_files,
    is_sound,
    read_sealed,
    verify_file,
    verify_folder,
    write_manifest,
    write_sealed,
    write_sidecar,
)

VALUE = {"stage": "index", "flow": {"taken": 12, "aside": {"ä": 1.5}}, "curve": [1, None, 1e-9]}


def flip(path, at, bit=0):
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def is_json(path):
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES = {
    "bit flipped": lambda path: flip(path, path.stat().st_size // 2, 3),
    "truncated": cut,
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "missing": lambda path: path.unlink(),
}


def test_flipped_bits_of_sealed_json_are_noticed_or_change_nothing(tmp_path):
    path = tmp_path / "metrics.json"
    write_sealed(path, VALUE)
    assert read_sealed(path) == VALUE
    whole = path.read_bytes()
    for at in range(len(whole)):
        flip(path, at, at % 8)
        changed = json.loads(path.read_bytes()) != json.loads(whole) if is_json(path) else True
        if changed:
            with pytest.raises(TableError, match=r"metrics.json is damaged: delete it and run snakemake --force"):
                read_sealed(path)
        else:
            assert read_sealed(path) == VALUE
        path.write_bytes(whole)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"sealed": 3}', b'{"sealed": {"files": {}}}'])
def test_sealed_json_that_cannot_be_read_is_damaged(tmp_path, content):
    (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(TableError, match=r"metrics.json is damaged"):
        read_sealed(tmp_path / "metrics.json")


def test_json_of_an_earlier_release_is_read(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps(VALUE))
    assert read_sealed(tmp_path / "metrics.json") == VALUE
    assert changed_files(tmp_path / "metrics.json") is None is changed_files(tmp_path / MANIFEST)


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoint"
    (folder / "parts").mkdir(parents=True)
    for name, content in {"config.json": b"{}", "parts/a.safetensors": bytes(range(200)), "README.md": b"card"}.items():
        (folder / name).write_bytes(content)
    write_manifest(folder)
    return folder


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", ["config.json", "parts/a.safetensors"])
def test_damaged_file_of_a_folder_is_named(checkpoint, name, damage):
    verify_folder(checkpoint)
    damage(checkpoint / name)
    with pytest.raises(
        TableError, match=rf"checkpoint is damaged \({name.split('/')[-1]}\): delete it and run snakemake"
    ):
        verify_folder(checkpoint)


def test_folder_with_the_manifest_of_another_is_damaged(checkpoint, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    (other / "parts" / "a.safetensors").write_bytes(bytes(200))
    write_manifest(other)
    shutil.copy(other / MANIFEST, checkpoint / MANIFEST)
    with pytest.raises(TableError, match=r"a.safetensors"):
        verify_folder(checkpoint)


@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(path.read_bytes()[:99]), DAMAGES["bit flipped"], DAMAGES["empty"]]
)
def test_damaged_manifest_is_named(checkpoint, damage):
    damage(checkpoint / MANIFEST)
    with pytest.raises(TableError, match=MANIFEST):
        verify_folder(checkpoint)


def test_edited_card_and_further_files_do_not_stop_a_job(checkpoint):
    (checkpoint / "README.md").write_text("edited")
    (checkpoint / ".snakemake_timestamp").touch()
    verify_folder(checkpoint)
    assert changed_files(checkpoint / MANIFEST) == [checkpoint / "README.md"]


def test_files_of_a_job_are_verified_by_its_metrics(tmp_path):
    answers, metrics = tmp_path / "a" / "answers.jsonl", tmp_path / "b" / "metrics.json"
    answers.parent.mkdir()
    answers.write_text('{"id": 1}\n')
    verify_file(answers, metrics)  # nothing is known of it
    write_sealed(metrics, VALUE, [answers])
    verify_file(answers, metrics)
    flip(answers, 3)
    with pytest.raises(TableError, match=r"answers.jsonl is damaged"):
        verify_file(answers, metrics)
    assert [path.resolve() for path in changed_files(metrics)] == [answers]


@pytest.mark.parametrize("damage", [damage for name, damage in DAMAGES.items() if name != "missing"])
def test_file_with_a_sidecar_is_verified(tmp_path, damage):
    path, temporary = tmp_path / "step-1.pt", tmp_path / ".1.step-1.pt"
    temporary.write_bytes(bytes(range(256)) * 900)
    write_sidecar(path, temporary)
    temporary.rename(path)
    assert is_sound(path)
    shutil.copy(f"{path}.digest", tmp_path / "step-2.pt.digest")
    shutil.copy(path, tmp_path / "step-2.pt")
    assert is_sound(tmp_path / "step-2.pt") is False  # the sidecar of another file
    damage(path)
    assert is_sound(path) is False
