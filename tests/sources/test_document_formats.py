import pytest

from refrad.language.sections import is_heading
from refrad.sources.document_formats import BINARY, UnreadableDocument, decode_document


@pytest.mark.parametrize(
    "text",
    [
        r"{\rtf1\ansi Befund:\par Gef\'e4\'dfe frei.\par}",
        "MSH|^~\\&|A|B\rPID|1||7||TANNEBERG^ILSE\rOBX|1|TX|G^Befund||Gefäße frei.||||||F",
        "MSH|^~\\&|A|B\nOBX|1|FT|G^Text||{\\E\\rtf1\\E\\ansi Befund:\\E\\par Gef\\E\\'e4\\E\\'dfe frei.}||||||F",
        "OBX|1|TX|G^Text||Befund:\\.br\\Gef&auml;&szlig;e frei.||||||F",
        "<html><body><h3>Befund:</h3><p>Gef&auml;&szlig;e frei.</p></body></html>",
        "&lt;b&gt;Befund:&lt;/b&gt;&lt;br&gt;Gef&amp;auml;&amp;szlig;e frei.",
        "Befund:\nGef&auml;&szlig;e frei.",
        "Befund:\nGefa\u0308\u00adße frei.\0",
    ],
)
def test_report_of_any_form_gives_its_text(text):
    assert decode_document(text, is_heading).replace("\n\n", "\n") == "Befund:\nGefäße frei."


@pytest.mark.parametrize(
    "text",
    [
        "Herd < 5 mm, <5 mm > 3 mm, LK <1 cm.",
        "A & B | C ^ D ~ 5 mm \\ {Anmerkung}",
        "Vergleich mit {\\r} und \\par",
        "MSH-Segment und OBX fehlen | normal",
        "Befund:\n\n  Milz normal.\tLeber normal.",
    ],
)
def test_plain_text_stays_as_it_is(text):
    assert decode_document(text, is_heading) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r"{\rtf1{\fonttbl{\f0 Arial;}}{\pict 4711}}", "unreadable_rtf"),
        ("MSH|^~\\&|A|B\rPID|1||7||TANNEBERG^ILSE", "unreadable_hl7"),
        ("MSH|^~\\&|A|B\rOBX|1|ED|X||^AP^^Base64^JVBERi0=", "unreadable_hl7"),
        ("<html><head><title>RIS</title></head><body><img src='a'/></body></html>", "unreadable_html"),
        ("<?xml version='1.0'?><order><note>Milz</note></order>", "unreadable_xml"),
        *((start + "...", reason) for start, reason in BINARY.items()),
    ],
)
def test_document_without_text_is_unreadable_by_name(text, reason):
    with pytest.raises(UnreadableDocument, match=f"^{reason}$"):
        decode_document(text, is_heading)
