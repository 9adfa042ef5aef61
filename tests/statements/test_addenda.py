import pytest

from refrad.statements.addenda import find_superseded

REPORT = [("findings", "Leber normal."), ("findings", "Milz normal."), ("impression", "Kein Tumor der Leber.")]


@pytest.mark.parametrize(
    ("addendum", "superseded"),
    [
        (("addendum", "In der Leber ein Herd."), set()),
        (("addendum", "Korrigiert: in der Leber ein Herd."), {0, 2}),
        (("addendum", "Milz irrtümlich als normal beschrieben."), {1}),
        (("addendum", "Statt „Milz normal“ muss es heißen: vergrößert."), {1}),
        (("correction", "In der Leber ein Herd."), {0, 2}),
        (("correction", "Es liegt ein Herd vor."), set()),
    ],
)
def test_addendum_supersedes_what_it_corrects(lexicon, addendum, superseded):
    assert find_superseded([*REPORT, addendum], "de", lexicon) == superseded


def test_correction_at_the_top_supersedes_what_follows(lexicon):
    text = [("correction", "There is a lesion of the liver."), ("findings", "The liver is normal.")]
    assert find_superseded(text, "en", lexicon) == {1}


def test_other_side_is_not_superseded(lexicon):
    text = [
        ("findings", "Left kidney normal."),
        ("findings", "Right kidney normal."),
        ("correction", "Left kidney cyst."),
    ]
    assert find_superseded(text, "en", lexicon) == {0}
