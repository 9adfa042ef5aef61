"""Placeholders of a set for what its makers removed become those of RefRad."""

import polars as pl
import pytest

from refrad.public_sets.placeholders import has_placeholder, replace_placeholders


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[patient_1] was seen on [date_2].", "[NAME] was seen on [DATE]."),
        ("[PATIENT_12], [Date 3], [doctor-1]", "[NAME], [DATE], [NAME]"),
        ("At [hospital_1] in [city_1], phone [phone_number_1]", "At [PLACE] in [PLACE], phone [PHONE]"),
        ("Protocol [protocol_no_4], age [age_1], [email_1]", "Protocol [ID], age [AGE], [PHONE]"),
        ("[referring_physician_1] asks", "[NAME] asks"),
        ("[T2] signal, [L5] and [image 12], [grade 2], [1]", "[T2] signal, [L5] and [image 12], [grade 2], [1]"),
        ("(3/204) [NAME] [DATE]", "(3/204) [NAME] [DATE]"),
    ],
)
def test_numbered_words_in_brackets_become_placeholders(text, expected):
    frame = pl.DataFrame({"t": [text]})
    assert frame.select(replace_placeholders(pl.col("t"))).item() == expected
    assert frame.select(has_placeholder(pl.col("t"))).item() == (text != expected)
