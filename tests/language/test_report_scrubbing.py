"""Reports without identifiers, line by line as they were, with their image references."""

import pytest

from refrad.language.report_scrubbing import scrub_report
from refrad.privacy.known_identifiers import Identifiers


@pytest.mark.parametrize(
    ("text", "series"),
    [
        ("Zyste (4/87).", ()),
        ("Zyste, Serie 4, Bild 2021.", ()),
        ("Zyste (Se 04/12, Im 2019).", ()),
        ("Cyst, series 2, image 1999.", ()),
    ],
)
def test_image_references_are_no_dates(lexicon, text, series):
    assert scrub_report(text, Identifiers(), lexicon, series) == (text, {})


def test_month_in_brackets_is_a_date(lexicon):
    assert scrub_report("Zyste (04/12).", Identifiers(), lexicon, (4,))[0] == "Zyste ([DATE])."


@pytest.mark.parametrize("text", ["Vergleich mit den Aufnahmen 2019.", "Im 2019 operiert.", "Bild vom 3.4.2019."])
def test_year_that_names_no_image_is_a_date(lexicon, text):
    assert "2019" not in scrub_report(text, Identifiers(), lexicon)[0]
