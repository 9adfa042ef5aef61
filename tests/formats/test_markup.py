import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.formats.markup import BLOCKS, CELLS, INLINE, LEFT_OUT, decode_entities, decode_markup, is_markup

CDA = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ClinicalDocument xmlns="urn:hl7-org:v3"><title>Arztbrief</title>'
    "<recordTarget><patient><name>Ilse Tanneberg</name></patient></recordTarget><component><structuredBody>"
    "<component><section><code displayName='x'/><title>Befund</title><text>{text}</text>"
    "<entry><observation><text>verschlüsselt</text></observation></entry></section></component>"
    "<component><section><title>Beurteilung</title><text>Unauffällig.</text></section></component>"
    "</structuredBody></component></ClinicalDocument>"
)


@pytest.mark.parametrize("name", BLOCKS.split())
def test_block_begins_a_line(name):
    assert decode_markup(f"Milz<{name}>normal</{name}>") == "Milz\nnormal"


@pytest.mark.parametrize("name", CELLS)
def test_cells_are_parted_by_a_space(name):
    assert decode_markup(f"<{name} class='a'>Milz</{name}><{name}>normal</{name}>") == "Milz normal"


@pytest.mark.parametrize("name", INLINE.split())
def test_inline_tag_leaves_its_word(name):
    assert decode_markup(f"Milz<{name}>groß</{name}>") == "Milzgroß"


@pytest.mark.parametrize("name", LEFT_OUT)
def test_element_without_text_of_the_report_is_left_out(name):
    assert decode_markup(f"Milz <{name.upper()} a='b'>nicht</{name}>normal") == "Milz normal"
    assert decode_markup(f"Milz <{name}>normal") == "Milz normal"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<html><head><title>RIS</title></head><body>Milz &lt; 12&nbsp;cm</body></html>", "Milz < 12 cm"),
        ("<p>Rundherd < 5 mm,<br/>RI <0,7</p>", "Rundherd < 5 mm,\nRI <0,7"),
        ("<b>Milz</b> <unklar> gro&szlig;", "Milz <unklar> groß"),
        ("<!DOCTYPE html><html><center><x:y>Milz</x:y></center></html>", "Milz"),
        ("Milz<!-- Kommentar <b> --> <b>normal</b>", "Milz normal"),
        ("Milz<!-- <b>normal</b>", "Milz normal"),
        ("<table><tr><td>Milz</td><td>12 cm</td></tr><tr><td>Leber</td><td>15 cm</td></tr></table>", "Milz 12 cm\n\nLeber 15 cm"),
        ("<ul><li>Milz.<li>Leber.</ul>", "Milz.\nLeber."),
        ("<?xml version='1.0'?><order><note>Milz</note></order>", ""),
        ("<!DOCTYPE x [<!ENTITY a 'Milz'>]><html><p>&a;</p></html>", ""),
    ],
)  # fmt: skip
def test_markup_is_read(text, plain):
    assert is_markup(text) and decode_markup(text) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<paragraph>Milz normal.</paragraph>", "Milz normal."),
        ("<list><item>Milz.</item><item>Leber.</item></list>", "Milz.\n\nLeber."),
        ("Milz<br/>Leber <![CDATA[< 5 cm]]>", "Milz\nLeber < 5 cm"),
        ("<table><tbody><tr><td>Milz</td><td>12</td></tr></tbody></table>", "Milz 12"),
    ],
)
def test_only_sections_of_a_document_are_read(text, plain):
    assert decode_markup(CDA.format(text=text)) == f"Befund\n\n{plain}\n\nBeurteilung\n\nUnauffällig."
    prefixed = CDA.format(text=text).replace("<section", "<n:section").replace("</section", "</n:section")
    assert decode_markup(prefixed) == f"Befund\n\n{plain}\n\nBeurteilung\n\nUnauffällig."


@pytest.mark.parametrize(
    "text", ["Herd <5 mm", "a < b > c", "5 < 6", "<unklar>", "<Name>", "RI <b", "<-- siehe oben", "Th12 <-> L1", "<br"]
)
def test_plain_text_with_angles_is_no_markup(text):
    assert not is_markup(text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("M&uuml;ller, gr&#246;&#xdf;er", "Müller, größer"),
        ("M&amp;uuml;ller", "Müller"),
        ("A & B, AT&T; R&D, &unbekannt;", "A & B, AT&T; R&D, &unbekannt;"),
        ("5&nbsp;mm", "5 mm"),
    ],
)
def test_entities_are_replaced(text, plain):
    assert decode_entities(text) == plain


@given(st.lists(st.text("abäöüß&<>\"' 0,.;", min_size=1, max_size=20), min_size=1, max_size=5))
def test_text_survives_html(lines):
    encoded = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    expected = [" ".join(decode_entities(line).split()) for line in lines]
    assert decode_markup(encoded).split() == " ".join(expected).split()


@given(st.text("<>/!-pbr[CDAT] \n?x\"='", max_size=200))
def test_hostile_markup_raises_nothing(text):
    assert isinstance(decode_markup(text), str)
