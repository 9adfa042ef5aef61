"""Keys within keys."""

from hypothesis import given
from hypothesis import strategies as st

from refrad.dicom.nested_keys import nested_key

KEYS = st.lists(st.text(alphabet="a|%7C25", max_size=6), min_size=2, max_size=3)


@given(KEYS, KEYS)
def test_different_keys_never_become_the_same(first, second):
    assert (nested_key(*first) == nested_key(*second)) == (first == second)


def test_usual_keys_are_joined_by_a_bar():
    assert nested_key("P1", "S1", "2") == "P1|S1|2"
