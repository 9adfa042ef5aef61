"""Whether two sentences have the same content, as far as words, numbers, a table of terms and the lexicon can decide.

A language model may drop a finding, change a side or deny a finding in a well-formed sentence. These checks are strict on
purpose: refusing a good sentence costs a row, accepting a wrong one puts a false label on an image.
"""

from refrad.statements.change_words import find_comparison
from refrad.statements.rewriting_checks import check_rewriting
from refrad.statements.translation_checks import check_translation

__all__ = ["check_rewriting", "check_translation", "names_other_examination"]


def names_other_examination(text: str) -> bool:
    """Whether a text compares with another examination, German or English."""
    return find_comparison(text) is not None
