import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.formats.hl7 import HEADING_OF_CODE, TEXT_TYPES, WITHDRAWN, decode_hl7, is_hl7

HEAD = "MSH|^~\\&|RIS|OST|PACS|OST|20230105||ORU^R01|5|P|2.5\rPID|1||550123^^^OST||TANNEBERG^ILSE||19501231|F\r"
ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\n": "\\.br\\", "\r": "\\X0D\\"}


def is_heading(label):
    return label in {"Befund", "Beurteilung", "Findings"}


def message(*observations, head=HEAD, end="\r"):
    rows = (f"OBX|{number}|{kind}|{name}||{text}||||||F" for number, (kind, name, text) in enumerate(observations, 1))
    return head + end.join(["OBR|1|A7|A7|CTT^CT Thorax", *rows]) + end


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_text_survives_a_message(text):
    text = f"Befund {text} Ende"
    encoded = "".join(ESCAPES.get(character, character) for character in text if character not in "\x0b\x1c")
    expected = "".join(character for character in text if character not in "\x0b\x1c")
    assert decode_hl7(message(("TX", "RPT", encoded)), is_heading) == expected


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\\r"])
def test_segments_end_in_any_way(end):
    text = message(("TX", "GDT^Befund", "Milz normal."), ("TX", "GDT^Befund", "Leber normal."), end=end)
    assert is_hl7(text) and decode_hl7(text, is_heading) == "Befund:\nMilz normal.\nLeber normal."


@pytest.mark.parametrize(("code", "heading"), HEADING_OF_CODE.items())
def test_code_gives_a_heading(code, heading):
    assert decode_hl7(message(("TX", f"{code}^RIS-Text", "Milz.")), is_heading) == f"{heading}:\nMilz."
    assert decode_hl7(message(("TX", f"CTT&{code}^", "Milz.")), is_heading) == f"{heading}:\nMilz."


@pytest.mark.parametrize("kind", TEXT_TYPES)
def test_texts_are_read(kind):
    assert decode_hl7(message((kind, "X^Y", "Milz.")), is_heading) == "Milz."


@pytest.mark.parametrize("kind", ["NM", "CE", "ED", "DT", "RP"])
def test_values_of_other_types_are_no_text(kind):
    assert decode_hl7(message((kind, "X^Y", "4711"), ("TX", "X^Y", "Milz.")), is_heading) == "Milz."


@pytest.mark.parametrize("status", WITHDRAWN)
def test_withdrawn_observation_is_left_out(status):
    text = message(("TX", "X^Y", "Milz fehlt.")).replace("||||||F", f"||||||{status}")
    assert decode_hl7(text + "OBX|2|TX|X^Y||Milz normal.||||||F\r", is_heading) == "Milz normal."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (r"Milz.\.br\Leber.\.sp2\Niere.\.ce\Pankreas.", "Milz.\nLeber.\nNiere.\nPankreas."),
        (r"\H\Milz\N\ normal", "Milz normal"),
        (r"4 mm \T\ 5 mm \F\ \S\ \R\ \E\ ", "4 mm & 5 mm | ^ ~ \\"),
        (r"gro\XDF\, F\XC3BC\r", "groß, Für"),
        ("Milz.~Leber.", "Milz.\nLeber."),
        ("Milz\nund Leber.", "Milz\nund Leber."),
    ],
)
def test_escapes_of_a_value_are_replaced(value, text):
    assert decode_hl7(message(("FT", "RPT", value)), is_heading) == text


def test_other_delimiters_of_a_message_are_used():
    text = "MSH#*%!@#RIS\rOBX#1#TX#GDT*Befund##Milz!.br!5 !T! 6###### F\r"
    assert decode_hl7(text, is_heading) == "Befund:\nMilz\n5 @ 6"


def test_notes_are_read_where_there_are_no_observations():
    assert decode_hl7(HEAD + "NTE|1||Milz normal.\rNTE|2||Leber normal.\r", is_heading) == "Milz normal.\nLeber normal."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD, True),
        ("\x0b" + HEAD, True),
        ("FHS|^~\\&|RIS\rBHS|^~\\&\r" + HEAD, True),
        ("OBX|1|TX|GDT^Befund||Milz.||||||F", True),
        ("PID|1||7\rOBX|1|TX|GDT^Befund||Milz.", True),
        ("Milz | Leber | Niere", False),
        ("CTT|Milz|normal", False),
        ("MSH normal", False),
        ("Befund:\nOBX wird nicht erwähnt.", False),
    ],
)
def test_messages_are_recognised(text, expected):
    assert is_hl7(text) is expected
