"""Options of `refrad public-set` that a set cannot follow are refused, since they would look as if they were followed."""

from pathlib import Path

import pytest

from refrad.public_sets.base import SetOptions
from refrad.public_sets.root_folder import load_adapter


@pytest.mark.parametrize(
    ("name", "field", "choice"),
    [
        ("ct-rate", "tables", Path("tables")),
        ("mr-rate", "tables", Path("tables")),
        ("merlin", "reconstruction", "Br40"),
        ("totalsegmentator", "reconstruction", "Br40"),
        ("totalsegmentator", "masks", Path("masks")),
        ("abdomenatlas", "reconstruction", "Br40"),
    ],
)
def test_option_that_a_set_does_not_read_is_refused(tmp_path, name, field, choice):
    with pytest.raises(ValueError, match=f"^{name} does not read --{field}: leave it out$"):
        load_adapter(name).read(tmp_path, SetOptions()._replace(**{field: choice}))


@pytest.mark.parametrize("name", ["merlin", "totalsegmentator", "abdomenatlas"])
def test_all_reconstructions_are_the_only_one_of_sets_with_one_volume_a_study(tmp_path, name):
    with pytest.raises(FileNotFoundError):  # of the empty folder, not of the option
        load_adapter(name).read(tmp_path, SetOptions(reconstruction="all"))
