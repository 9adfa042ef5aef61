import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.formats.charsets import charset_of, errors_of, mend_text

SENTENCE = "Größe der Gefäße: normal. Ödem über dem Fuß. "


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=50))
def test_utf8_is_read_as_utf8(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(("." + text).encode())
    assert charset_of(path) == "utf-8"


@pytest.mark.parametrize("copies", [1, 100_000])
def test_few_wrong_bytes_leave_a_file_utf8(tmp_path, copies):
    path = tmp_path / "reports.txt"
    path.write_bytes((SENTENCE * copies).encode() + "Lähmung".encode("cp1252"))
    assert charset_of(path) == "utf-8"
    text = path.read_text(encoding="utf-8", errors=errors_of("utf-8"))
    assert mend_text(text) == (SENTENCE * copies + "Lähmung", 1)


@pytest.mark.parametrize("charset", ["cp1252", "cp850", "mac_roman"])
def test_file_without_utf8_is_eight_bit(tmp_path, charset):
    path = tmp_path / "reports.txt"
    path.write_bytes((SENTENCE * 10).encode(charset))
    assert charset_of(path) == charset


@pytest.mark.parametrize(
    ("text", "mended", "wrong"),
    [
        ("Mu\u0308ller, Größe", "Müller, Größe", 0),
        ("gro\udcdf", "groß", 1),
        ("5\udcb0 und \udc96", "5° und –", 2),
        ("abgeschnitten \udcc3", "abgeschnitten \ufffd", 1),
        ("halb \ud83d", "halb \ufffd", 1),
        ("MÃ¼ller, 5Â°, gro\u00c3\u0178, 2 â€“ 3 cm", "Müller, 5°, groß, 2 – 3 cm", 4),
        ("Â ohne Folge, Ãœ", "Â ohne Folge, Ü", 1),
        ("Le\u00adber, Mi\u200blz, Ober\u00ad\nbauch \ufeff", "Leber, Milz, Oberbauch ", 0),
        ("L4/5 ≥ 3 mm – „Herd“ µm", "L4/5 ≥ 3 mm – „Herd“ µm", 0),
    ],
)
def test_wrong_and_invisible_characters_are_mended(text, mended, wrong):
    assert mend_text(text) == (mended, wrong)


@given(st.text("abc äöüÄÖÜßéèçñ°µ–„“≥\n\t.,;", max_size=100), st.sampled_from(["NFC", "NFD"]))
def test_right_text_is_read_as_nfc_only(text, form):
    assert mend_text(unicodedata.normalize(form, text)) == (unicodedata.normalize("NFC", text), 0)


@given(st.text("abzäöüÄÖÜß .", min_size=1, max_size=60))
def test_bytes_of_windows_are_read_inside_utf8(text):
    mixed = (SENTENCE.encode() + text.encode("cp1252")).decode("utf-8", errors="surrogateescape")
    assert mend_text(mixed)[0] == SENTENCE + text
