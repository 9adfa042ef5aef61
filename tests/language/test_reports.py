import pytest

from refrad.language.reports import detect_language, read_reports, sections_of

HEADER = "report_id,patient_id,accession_number,study_uid,language,text\n"


def test_sections_by_their_headings_in_both_languages():
    german = "Klinische Angaben:\nSturz.\n\nBefund:\nLeber normal.\n\nBeurteilung:\nNormal.\n\nMit freundlichen Grüßen\nDr. X"
    assert sections_of(german) == [("indication", "Sturz."), ("findings", "Leber normal."), ("impression", "Normal.")]
    english = "HISTORY: Pain.\nFINDINGS: Liver normal.\nIMPRESSION: Normal."
    assert [name for name, _ in sections_of(english)] == ["indication", "findings", "impression"]


@pytest.mark.parametrize(("text", "language"), [("Die Leber ist normal.", "de"), ("The liver is normal.", "en")])
def test_the_language_by_its_small_words(text, language):
    assert detect_language(text) == language


@pytest.mark.parametrize(
    ("encoding", "separator"), [("utf-8", ","), ("utf-8-sig", ";"), ("cp1252", ";"), ("utf-8", "\t")]
)
def test_tables_come_as_spreadsheets_write_them(tmp_path, encoding, separator):
    path = tmp_path / "reports.csv"
    path.write_bytes((HEADER + 'R1,P1,,,de,"Größe normal"\n').replace(",", separator).encode(encoding))
    (report,) = read_reports(path)
    assert (report.report_id, report.text, report.study_uid) == ("R1", "Größe normal", "")


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "reports.csv"
    path.write_text("report_id,language\nR1,de\n")
    with pytest.raises(ValueError, match="text"):
        read_reports(path)
