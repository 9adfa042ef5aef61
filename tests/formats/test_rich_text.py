import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.formats.rich_text import CHARACTERS, FONT_CHARSETS, SKIPPED, SYMBOLS, decode_rich_text

HEAD = r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fswiss Arial;}}{\colortbl;\red0\green0\blue0;}\pard\f0\fs22 "


def encode(text: str, as_unicode: bool) -> str:
    """A document as word processors write it."""
    pieces = []
    for character in text:
        if character in "\\{}":
            pieces.append("\\" + character)
        elif character == "\n":
            pieces.append("\\par\r\n")
        elif character == "\t":
            pieces.append("\\tab ")
        elif ord(character) < 128:
            pieces.append(character)
        elif ord(character) < 256 and not as_unicode:
            pieces.append(f"\\'{ord(character):02x}")
        else:
            units = character.encode("utf-16-le")
            for low, high in zip(units[::2], units[1::2], strict=True):
                code = low + 256 * high
                pieces.append(f"\\u{code - 65536 if code > 32767 else code}?")
    return HEAD + "".join(pieces) + "}"


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x00"), max_size=60).map(str.strip),
    st.booleans(),
)
def test_text_survives_rich_text(text, as_unicode):
    lines = f"Befund:\n{text}\nEnde"
    lines = "".join(character for character in lines if not 127 <= ord(character) < 160)
    assert decode_rich_text(encode(lines, as_unicode)) == lines


@given(st.text("ab\\{}'*;u \n0123-~", max_size=200))
def test_broken_rich_text_raises_nothing(text):
    assert isinstance(decode_rich_text("{\\rtf1" + text), str)


@pytest.mark.parametrize("name", SKIPPED.split())
def test_group_without_text_is_skipped(name):
    assert decode_rich_text(rf"{{\rtf1 Milz{{\{name} Klinikum {{\b Arial}}}} normal}}") == "Milz normal"


@pytest.mark.parametrize(("word", "character"), CHARACTERS.items())
def test_control_word_is_a_character(word, character):
    assert decode_rich_text(rf"{{\rtf1 a\{word} b}}") == f"a{character}b"


@pytest.mark.parametrize(("symbol", "character"), SYMBOLS.items())
def test_control_symbol_is_a_character(symbol, character):
    assert decode_rich_text(f"{{\\rtf1 a\\{symbol}b}}") == f"a{character}b"


@pytest.mark.parametrize(("number", "charset"), FONT_CHARSETS.items())
def test_font_chooses_the_code_page(number, charset):
    letter = bytes([0xE4]).decode(charset)
    fonts = rf"{{\fonttbl{{\f0\fcharset0 A;}}{{\f1\fcharset{number} B;}}}}"
    assert decode_rich_text(rf"{{\rtf1\ansi{fonts}\f0 \'e4{{\f1 \'e4}}\'e4}}") == f"ä{letter}ä"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"{\rtf1\ansi\ansicpg1250 \'9aed\'fd}", "šedý"),
        (r"{\rtf1\mac \'8a}", "ä"),
        (r"{\rtf1\pc \'84}", "ä"),
        (r"{\rtf1\ansicpg65001 \'c3\'a4}", "ä"),
        (r"{\rtf1\ansicpg99999 \'e4}", "ä"),
        (r"{\rtf1\uc2 \u228\'e4\'20mm}", "ämm"),
        (r"{\rtf1\uc0 \u228 mm}", "ämm"),
        (r"{\rtf1 Milz {\v geheim}normal\v0 .}", "Milz normal."),
        (r"{\rtf1 Milz {\deleted nicht }normal.}", "Milz normal."),
        (r"{\rtf1 Milz \v weg\plain  normal.}", "Milz  normal."),
        (r"{\rtf1 Milz {\*\bookmark Name}normal.}", "Milz normal."),
        (r"{\rtf1 Milz{\pict\bin3 }}}} normal.}", "Milz normal."),
        (r"{\rtf1 Milz normal.\par}" + "\0\r\n", "Milz normal.\n"),
        (r"{\rtf1 Befund:\par Milz.}{\rtf1 Beurteilung:\par Leber.}", "Befund:\nMilz.\nBeurteilung:\nLeber."),
        ("Kopf\n" + r"{\rtf1 Milz normal.}", "Kopf\n\nMilz normal."),
        (r"{\rtf1 Milz normal", "Milz normal"),
        (r"{\rtf1 {\field{\*\fldinst DATE}{\fldrslt heute}}}", "heute"),
    ],
)
def test_rich_text_is_read(text, plain):
    assert decode_rich_text(text) == plain
