"""Names of known persons found in a report, however their letters are written."""

import pytest

from refrad.privacy.known_names import find_names, name_forms

ORGANS = {"leber", "milz", "niere", "herz", "rippe"}


def blanked(text: str, *names: str) -> str:
    """The text with a tilde for each name that is found."""
    pieces, reached = [], 0
    for start, end in find_names(text, name_forms(names), lambda word: word.lower() in ORGANS):
        pieces += [text[reached:start], "~"]
        reached = end
    return "".join([*pieces, text[reached:]])


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Öztürk^Gülay", "GÜLAY OEZTUERK, Frau Ozturk, gülay", "~ ~, Frau ~, ~"),
        ("Sørli^Bjørg", "Soerli; Sorli; Björg", "~; ~; ~"),
        ("O'Neill^Maeve", "O’Neill ONeill O Neill ONEILL O`Neill", "~ ~ ~ ~ ~"),
        ("ONeill^Maeve", "O’Neill, O'NEILL", "~, ~"),
        ("D'Amico^Rosa", "DAmico, D’Amico, Damico", "~, ~, ~"),
        ("McBride^Ann", "Mc Bride, MCBRIDE, McBride's", "~, ~, ~"),
        ("Al-Khatib^Samir", "Al Khatib, Alkhatib, AL-KHATIB, Khatib", "~, ~, ~, ~"),
        ("von der Au^Inge", "Frau von der Au, VON DER AU; von der Leber", "Frau ~, ~; von der Leber"),
        ("de la Cruz^Ana", "De la Cruz, Cruz; de la", "~, ~; de la"),
        ("Voss-Hübner^Ute", "Voss - Hübner, VOSS-HUEBNER, Hübner-Voss, VossHübner", "~, ~, ~, ~"),
        ("Tarnow^Karl Heinz", "Karl-Heinz Tarnow, Karlheinz, Heinz", "~ ~, ~, ~"),
        ("Tarnow^Karl", "TarnowKarl, karltarnow", "~, ~"),
        ("Tarnow^Karl", "Tarnows Niere, Tarnow’s, Tarnow's, TARNOWS", "~ Niere, ~, ~, ~"),
        ("Strauß^Karl", "Strauß' Niere", "~ Niere"),
        ("Tarnow^Karl", "Tar-\nnow kam, Tar-\x01\nnow ging", "~ kam, ~ ging"),
        ("L\ufffdmmle^J\ufffdrn", "Lämmle, Laemmle, Lammle, Jörn, JOERN", "~, ~, ~, ~, ~"),
        ("L\ufffd\ufffdmmle", "Lämmle, Laemmle, Lmmle, Lerstemmle", "~, ~, Lmmle, Lerstemmle"),
        ("Lämmle^Jörn", "L\ufffdmmle kam", "~ kam"),
        ("Dr. med. Tarnow^Karl", "Dr. med. Tarnow, med. Therapie", "Dr. med. ~, med. Therapie"),
        ("Tarnow, Karl", "karl tarnow", "~ ~"),
        ("Tarnow^Karl=タルノウ", "Tarnow", "~"),
        ("Tarnow^Karl | Voss^Ute", "Voss, Tarnow", "~, ~"),
        ("Tarnow^Karl", "Tarnowitz, Karla, Karlsruhe", "Tarnowitz, Karla, Karlsruhe"),
        ("Tarnow^Karl", "Bild_Tarnow_12", "Bild_~_12"),
    ],
)
def test_name_is_found_in_all_its_spellings(name, text, left):
    assert blanked(text, name) == left


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Xu^Ling", "Bei Xu zeigt sich, Xu wünscht, XU LING", "Bei ~ zeigt sich, ~ wünscht, ~ ~"),
        ("Oz^Ali", "Patientin OZ, oz", "Patientin ~, oz"),
        ("Li^Wen", "Zyste li. Niere, Li. Niere, LI normal", "Zyste li. Niere, Li. Niere, LI normal"),
        ("Li^Wen", "Frau Li, Li Wen, bei Li wurde", "Frau ~, ~ ~, bei ~ wurde"),
        ("He^Jun", "30 HE, He Jun, Herr He", "30 HE, ~ ~, Herr ~"),
        ("Le^Minh", "LE ausgeschlossen, Le Minh", "LE ausgeschlossen, ~ ~"),
        (
            "Hu^Yi",
            "Herr Hu: Zyste 20 HU oder 20 Hu. Hu klagt, Bild von Hu.",
            "Herr ~: Zyste 20 HU oder 20 Hu. ~ klagt, Bild von ~.",
        ),
        ("Hu^Yi", "im Hu nichts, Hu-Wert, im Nu, VU, CT, MR, LK", "im Hu nichts, Hu-Wert, im Nu, VU, CT, MR, LK"),
        ("Ma^Yi", "Patient Ma, 80 mA, 80 Ma, wobei Ma stabil ist", "Patient ~, 80 mA, 80 Ma, wobei ~ stabil ist"),
        ("An^Yi", "Frau An. An der Milz nichts, Befund von An.", "Frau ~. An der Milz nichts, Befund von ~."),
        ("Mo^Yi", "Patient Mo kommt am Mo, 2 Uhr", "Patient ~ kommt am Mo, 2 Uhr"),
        ("Op^Yi", "Patientin Op nach Op der Milz", "Patientin ~ nach Op der Milz"),
        ("Ho^Yi", "Ms Ho has pain, while Ho walks", "Ms ~ has pain, while ~ walks"),
    ],
)
def test_name_of_two_letters_is_found_where_it_is_capitalised(name, text, left):
    assert blanked(text, name) == left


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Herz^Anton", "Herr Herz: Herz normal, Anton Herz, Herz, Anton", "Herr ~: Herz normal, ~ ~, ~, ~"),
        ("Herz^Anton", "HERR HERZ: HERZ NORMAL, A. HERZ", "HERR ~: HERZ NORMAL, A. ~"),
        ("Klein^Anton", "anton klein: kleine zyste, klein", "~ ~: kleine zyste, klein"),
        ("Klein^Anton", "z. B. Klein-zystisch, A. Klein kam", "z. B. Klein-zystisch, A. ~ kam"),
        ("Klein^Anton", "Bei Klein zeigt sich, durch Klein gewünscht", "Bei ~ zeigt sich, durch ~ gewünscht"),
        ("Groß^Eva", "LEBER GROSS, GROSS EVA, groß, Große Zyste", "LEBER GROSS, ~ ~, groß, Große Zyste"),
        ("Mai^Eva", "Im Mai OP. Mai, Eva. Patientin: Mai", "Im Mai OP. ~, ~. Patientin: ~"),
        ("May^Tom", "In May, Tom May fell. Mr. May", "In May, ~ ~ fell. Mr. ~"),
        ("Leber^Ute", "Pat. M. Leber, Name: Leber; geb. Leber; Leber", "Pat. M. ~, Name: ~; geb. ~; Leber"),
        ("Stein^Mai", "Mai Stein, Stein im Ureter", "~ ~, Stein im Ureter"),
        ("Frank^Max", "Max kam, Frank, max. 5 mm, Max. 5 mm, frank, MAX", "~ kam, ~, max. 5 mm, Max. 5 mm, frank, MAX"),
        (
            "Ray^Jan",
            "X-Ray, ray, Ray came, Jan 2020, Jan. 2020, JAN RAY",
            "X-Ray, ray, ~ came, Jan 2020, Jan. 2020, ~ ~",
        ),
        ("Wall^Chester", "in Wall the chest wall", "in ~ the chest wall"),
        ("Klein^Mueller", "Herr Müller klein von Wuchs", "Herr ~ klein von Wuchs"),
    ],
)
def test_name_that_is_a_word_goes_where_a_name_stands(name, text, left):
    assert blanked(text, name) == left


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        (
            "Baker^Jo",
            "Baker-Zyste, Baker cyst, Baker reports, Baker's son",
            "Baker-Zyste, Baker cyst, ~ reports, ~ son",
        ),
        ("Crohn^Jo", "Morbus Crohn, M. Crohn, Herr Crohn", "Morbus Crohn, M. Crohn, Herr ~"),
        (
            "Weber^Eva",
            "Weber B, Weber-C-Fraktur, Weber Typ A, Weber kam",
            "Weber B, Weber-C-Fraktur, Weber Typ A, ~ kam",
        ),
        (
            "Tietz^Eva",
            "Tietz-Fraktur, Tietz-artig, Tietz-Leber, Tietz fracture",
            "Tietz-Fraktur, Tietz-artig, Tietz-Leber, ~ fracture",
        ),
        ("Wolff^Eva", "Wolff-Parkinson-White-Syndrom, Wolff-Parkinson", "Wolff-Parkinson-White-Syndrom, ~"),
        ("Tietz^Eva", "Tietz 45 Jahre, Tietz B.", "~ 45 Jahre, ~ B."),
    ],
)
def test_name_in_a_term_of_medicine_stays(name, text, left):
    assert blanked(text, name) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Tarnow-Voss, VOSS-TARNOW, Voss-Tarnow", "~, ~, ~"),
        ("Tarnow-Leber, Tarnow-Zyste, MRT-Tarnow, Station-Tarnow", "Tarnow-Leber, Tarnow-Zyste, MRT-~, Station-~"),
        ("Voss-Tarnow-Ute kam", "~ kam"),
    ],
)
def test_unknown_half_of_a_double_name_goes_as_well(text, left):
    assert blanked(text, "Tarnow^Ute") == left


@pytest.mark.parametrize("name", ["Extern^Arzt", "UNKNOWN", "CT^^Technik", "None", "?", "^^^Dr."])
def test_header_that_names_nobody_hides_nothing(name):
    text = "Extern gefertigtes CT, Frau CT, none, unknown, Dr. Arzt"
    assert blanked(text, name) == text


@pytest.mark.parametrize("piece", ["Li ", "O'", "A. ", "Voss-", "von der ", "\ufffd", "-\n", "Lämmle ", "[NAME] ", "x"])
def test_text_hard_for_patterns_is_read_in_few_steps(piece):
    forms = name_forms(["Voss-Hübner^Li", "von der Au^Ann", "L\ufffdmmle^K\ufffd\ufffdrl"])
    text = (piece * 20_000)[:20_000]
    assert all(0 <= start < end <= len(text) for start, end in find_names(text, forms, lambda _: False))
