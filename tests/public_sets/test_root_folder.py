"""Each set of the registry has an adapter, and its root is known by the names in it."""

import pytest

from refrad.config.public_sets import PUBLIC_SETS
from refrad.public_sets.root_folder import check_root, load_adapter


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_set_has_an_adapter(name):
    adapter = load_adapter(name)
    assert adapter.MARKS and callable(adapter.read) and adapter.__name__ == PUBLIC_SETS[name].target


def test_root_is_accepted_by_any_mark(tmp_path):
    (tmp_path / "dataset" / "valid_fixed").mkdir(parents=True)
    check_root("ct-rate", tmp_path)


def test_folder_of_nothing_known_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="name the folder into which the set was downloaded"):
        check_root("ct-rate", tmp_path)


def test_file_is_no_root(tmp_path):
    (tmp_path / "set.zip").touch()
    with pytest.raises(FileNotFoundError, match=r"set\.zip: no such folder"):
        check_root("ct-rate", tmp_path / "set.zip")
