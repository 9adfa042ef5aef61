"""The private list of folders into which images and sentences went."""

from contextlib import chdir

import pytest

from refrad.cli import main
from refrad.core.noted_exports import LIST, note_export, noted_exports


def test_folders_are_noted_once_with_the_last_command(tmp_path):
    for command in ("export", "audit"):
        note_export(tmp_path, command, tmp_path / "a")
    note_export(tmp_path, "predict", tmp_path / "ö b")
    exports = noted_exports(tmp_path)
    assert list(exports) == [str(tmp_path / "a"), str(tmp_path / "ö b")]
    assert exports[str(tmp_path / "a")].startswith("audit, 20")
    assert (tmp_path / LIST).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("end", ["", '{"folder": "/x"', "[]\n", "\n", "\0\0"])
def test_damaged_line_hides_no_other(tmp_path, end):
    note_export(tmp_path, "export", tmp_path / "a")
    with (tmp_path / LIST).open("a") as file:
        file.write(end)
    note_export(tmp_path, "export", tmp_path / "b")
    assert list(noted_exports(tmp_path)) == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_no_list_is_no_export(tmp_path):
    assert noted_exports(tmp_path) == {}


def test_command_notes_its_folder_in_a_run(tmp_path, images, root):
    audit = ["audit", "--schema", str(root / "workflow/anatomy/classes.yaml"), "--count", "2", "--images"]
    with chdir(tmp_path):
        assert main([*audit, str(images), "--out", "first"]) == 0
        assert not (tmp_path / "private").exists()
        (tmp_path / "private").mkdir()
        assert main([*audit, str(images), "--out", "second"]) == 0
        assert main([*audit, "nothing", "--out", "third"]) == 1
    assert list(noted_exports(tmp_path / "private")) == [str(tmp_path / "second")]
