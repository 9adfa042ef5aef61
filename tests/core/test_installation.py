import stat
from pathlib import Path

import pytest

from refrad.core.installation import resolve_shipped, user_cache


def test_installation_has_what_the_current_folder_lacks(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_shipped(Path("workflow/prompts")) == root / "workflow" / "prompts"


def test_own_copy_comes_before_that_of_the_installation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = Path("workflow/anatomy/classes.yaml")
    own.parent.mkdir(parents=True)
    own.write_text("classes: []")
    assert resolve_shipped(own) == own


def test_other_paths_are_no_files_of_the_installation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_shipped(Path("README.md")) == Path("README.md")
    assert resolve_shipped(tmp_path / "workflow") == tmp_path / "workflow"


def test_file_that_neither_has_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        resolve_shipped(Path("workflow/anatomy/no.yaml"))
    assert error.value.filename == "workflow/anatomy/no.yaml"


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "HOME"])
def test_cache_is_the_users_own(tmp_path, monkeypatch, variable):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    folder = user_cache("llm")
    assert folder == tmp_path / ("" if variable == "XDG_CACHE_HOME" else ".cache") / "refrad" / "llm"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
