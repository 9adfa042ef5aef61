"""Functions that read text of a report take time in proportion to it."""

import time

import pytest

from refrad.language.detection import detect_language
from refrad.language.references import take_references
from refrad.language.sections import split_report
from refrad.language.sentences import split_sentences

HOSTILE = [
    "(",
    "()",
    "(1/2) ",
    "1,2,",
    "Bild 1, ",
    "Serie 1 ",
    "a-",
    "A.",
    "x\n",
    "befund " + "1." * 30 + "\n",
    "mit aa, ",
    "CT a ",
    "| 1 ",
]
FUNCTIONS = [take_references, split_report, split_sentences, detect_language]


def seconds(function, text):
    start = time.process_time()
    function(text)
    return time.process_time() - start


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("unit", HOSTILE)
def test_four_times_the_text_takes_no_sixteen_times_as_long(function, unit):
    short, long = (unit * (length // len(unit)) + "§" for length in (5_000, 20_000))
    least = min(seconds(function, short) for _ in range(3))
    assert min(seconds(function, long) for _ in range(3)) <= 10 * least + 0.1
