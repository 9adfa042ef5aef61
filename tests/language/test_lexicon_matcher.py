import pytest

from refrad.language.lexicon_matcher import find_matches, is_anatomy, pattern_tree, tokenize


@pytest.mark.parametrize(
    ("mistyped", "language"),
    [
        ("Schidldrüse", "de"),  # swapped
        ("Gallenbase", "de"),  # left out
        ("Harnblasse", "de"),  # put in
        ("Pankraes", "de"),
        ("galbladder", "en"),
        ("appendicits", "en"),
    ],
)
def test_typo_in_a_long_word_is_forgiven(lexicon, mistyped, language):
    assert pattern_tree(lexicon, language).knows(mistyped)


@pytest.mark.parametrize(
    ("word", "language"),
    [
        ("Hornhaut", "de"),
        ("Diskette", "de"),
        ("komischer", "de"),
        ("Lebet", "de"),
        ("dissection", "en"),
        ("ribbon", "en"),
    ],
)
def test_correct_word_is_no_typo(lexicon, word, language):
    assert find_matches(tokenize(word), word, lexicon, language) == []


@pytest.mark.parametrize(
    ("word", "whole"),
    [("Leber", True), ("Lebern", True), ("Herzog", False), ("Sigmar", False), ("Leberzirrhose", False)],
)
def test_surname_that_begins_like_an_organ_is_no_organ(lexicon, word, whole):
    assert is_anatomy(word, lexicon, exactly=True) is whole
