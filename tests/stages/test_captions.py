"""Stage captions: sentences of reports become captions, without names and with their image references."""

import json

import pytest
import yaml
from tests.factories import ReportDelivery, fingerprint, report_row

from refrad.core.contracts import InstanceTable
from refrad.core.tables import frame_of, read_table, write_table
from refrad.workflow.fingerprint import read_fingerprint


@pytest.fixture
def delivery(tmp_path):
    return ReportDelivery(tmp_path)


def test_sentences_of_findings_and_impression_become_captions(delivery):
    made = delivery.run([report_row()])
    assert made["text"].to_list()[:2] == ["Leber normal.", "Milz normal."]
    assert set(made["section"]) == {"findings", "impression"}
    assert delivery.metrics["flow"]["aside"]["duplicate_sentence"] == 1


def test_lexicon_with_a_class_that_the_schema_lacks_is_refused(delivery, root, tmp_path):
    schema = yaml.safe_load((root / "workflow" / "anatomy" / "classes.yaml").read_text(encoding="utf-8"))
    schema["classes"] = [row for row in schema["classes"] if row["name"] != "spleen"]
    (tmp_path / "classes.yaml").write_text(yaml.safe_dump(schema), encoding="utf-8")
    with pytest.raises(ValueError, match=r"lexicon.yaml: entry \d+.*spleen"):
        delivery.run([report_row()], schema=tmp_path / "classes.yaml")


def test_identifiers_are_in_no_column(delivery):
    made = delivery.run([report_row()])
    everything = made.write_json() + delivery.named.write_json() + json.dumps(delivery.metrics)
    for secret in ("Erika", "Beispielfrau", "ID4711", "2021", "Habermann", "1.2.5", "R1"):
        assert secret not in everything, secret


def test_image_reference_is_read_and_leaves_the_text(delivery):
    made = delivery.run([report_row()])
    (caption,) = made.filter(made["tie"] == "reference").to_dicts()
    (named,) = delivery.named.to_dicts()
    assert named == {
        "caption": caption["caption"],
        "instance": None,
        "series_number": 3,
        "image_first": 5,
        "image_last": 5,
        "plane": None,
    }


def test_sentence_tied_by_hand_names_its_instance(delivery):
    made = delivery.run([report_row()], references=[["R1", "Milz normal", "1.2.3.1"]])
    (caption,) = made.filter(made["tie"] == "explicit").to_dicts()
    assert caption["text"] == "Milz normal." and delivery.named.filter(delivery.named["caption"] == caption["caption"])[
        "instance"
    ].to_list() == ["i"]


def test_sentence_tied_by_numbers_names_series_and_image(delivery):
    made = delivery.run([report_row()], references=[["R1", "Milz normal", "", 3, 5]])
    (caption,) = made.filter(made["tie"] == "explicit").to_dicts()
    (named,) = delivery.named.filter(delivery.named["caption"] == caption["caption"]).to_dicts()
    assert (named["instance"], named["series_number"], named["image_first"]) == (None, 3, 5)


def test_references_are_counted_as_found_or_not_found(delivery):
    delivery.run([report_row("Befund:\nLeber (Se 3, IMA 5). Milz (Se 3, IMA 99). Niere (Se 9, IMA 5).")])
    assert delivery.metrics["tables"]["references"] == {"found": 1, "not found": 2}


@pytest.mark.parametrize(
    "identity", [{"accession_number": "ACC99"}, {"patient_id": "ID4711"}, {"dicom": "a"}, {"dicom": "/a/"}]
)
def test_report_without_study_uid_is_found_by_other_keys(delivery, identity):
    assert len(delivery.run([report_row(**({"study_uid": ""} | identity))])) > 0


def test_report_of_no_study_is_counted_in_one_shard_only(delivery):
    stray = report_row(study_uid="9.9.9")
    allowed = fingerprint("captions", max_without_study=1)
    assert delivery.run([stray], shard=1, fingerprint=allowed).is_empty() and delivery.metrics["flow"]["taken"] == 0
    delivery.run([stray], shard=0, fingerprint=allowed)
    assert delivery.metrics["flow"]["aside"] == {"no_study": delivery.metrics["flow"]["taken"]}


@pytest.mark.parametrize(
    ("reasons", "counted"),
    [
        (["excluded"], "excluded"),
        (["not_chosen"], "not_chosen"),
        (["localizer", "not_chosen", "excluded"], "excluded"),
        (["localizer", "not_chosen"], "not_chosen"),
        (["localizer"], "report_without_images"),
    ],
)
def test_report_of_a_study_that_is_left_out_has_the_reason_of_its_images(delivery, reasons, counted):
    path = delivery.folder / "instances.parquet"
    (image,) = read_table(path, InstanceTable).to_dicts()
    rows = [image | {"volume": None, "reason": reason, "instance": f"i{n}"} for n, reason in enumerate(reasons)]
    write_table(path, frame_of(rows, InstanceTable), InstanceTable, read_fingerprint(path))
    made = delivery.run([report_row()], fingerprint=fingerprint("captions", max_without_study=0))
    assert made.is_empty() and delivery.named.is_empty()
    assert delivery.metrics["flow"]["aside"] == {counted: delivery.metrics["flow"]["taken"]}
    assert delivery.metrics["tables"]["reports"] == {counted: 1}


def test_report_of_a_study_that_is_left_out_in_part_is_used(delivery):
    path = delivery.folder / "instances.parquet"
    (image,) = read_table(path, InstanceTable).to_dicts()
    rows = [image, image | {"volume": None, "reason": "excluded", "instance": "j"}]
    write_table(path, frame_of(rows, InstanceTable), InstanceTable, read_fingerprint(path))
    assert len(delivery.run([report_row()])) > 0 and delivery.metrics["tables"]["reports"] == {"used": 1}


def test_later_report_of_the_same_id_replaces_the_earlier(delivery):
    made = delivery.run([report_row("Befund:\nLeber vergrößert."), report_row("Befund:\nLeber normal groß.")])
    assert made["text"].to_list() == ["Leber normal groß."]
    assert delivery.metrics["tables"]["reports"] == {"used": 1, "replaced_report": 1}
    assert delivery.metrics["flow"]["aside"] == {"replaced_report": 1}


def test_unreadable_later_report_replaces_none(delivery):
    made = delivery.run([report_row("Befund:\nLeber normal."), report_row("{\\rtf1 }")])
    assert made["text"].to_list() == ["Leber normal."]
    assert delivery.metrics["tables"]["reports"] == {"used": 1, "unreadable_rtf": 1}


def test_reports_without_study_stop_and_show_forms_of_ids(delivery):
    rows = [report_row(name="R8", study_uid="", accession_number=f"KR-00{number}x") for number in range(3)]
    with pytest.raises(ValueError, match=r"reports\.csv: 3 of 4 reports .* is AA-999A .* and AAA99 in") as error:
        delivery.run([report_row(), *rows])
    assert "KR-" not in str(error.value) and "ACC" not in str(error.value)
    made = delivery.run([report_row(), *rows], fingerprint=fingerprint("captions", max_without_study=0.75))
    assert len(made) > 0


def test_warnings_name_the_file_and_numbers(delivery, caplog):
    caplog.set_level("INFO")
    delivery.run([report_row(), report_row("", "R2")])
    assert "captions: reports.csv: 1 rows cannot be used: no_text; the first is in line 13" in caplog.messages
    assert "captions: reports.csv: 2 reports, 0 without a study" in caplog.messages


def test_every_report_of_a_table_is_counted(delivery):
    texts = ["Befund:\nLeber normal.", "MSH|^~\\&|A|B\rPID|1||7", "{\\rtf1 }", "", "%PDF-1.4", "<html><p></p></html>"]
    rows = [report_row(text, f"R{number}") for number, text in enumerate(texts)]
    delivery.run(rows)
    counts = delivery.metrics["tables"]["reports"]
    assert sum(counts.values()) == len(rows) and counts["used"] == 1


def test_missing_column_stops_with_its_name(delivery):
    with pytest.raises(ValueError, match="instance_uid"):
        delivery.run([report_row()], references=[["R1", "Milz"]])


def test_signature_below_a_greeting_becomes_no_caption(delivery):
    made = delivery.run([report_row("Befund:\nMilz normal.\n\nViele herzliche Grüße\nWolfram Tiedge\nOberarzt")])
    assert "Tiedge" not in made.write_json()


@pytest.mark.parametrize(
    "written", ["Milz am 3.4.2021 normal.", "Milz  am 3.4.2021 normal", "Milz am\n3.4.2021 normal;"]
)
def test_sentence_with_a_date_is_tied_by_its_original(delivery, written):
    made = delivery.run(
        [report_row("Befund:\nMilz am 3.4.2021 normal. Leber normal.")], references=[["R1", written, "1.2.3.1"]]
    )
    assert dict(made.select("text", "tie").iter_rows()) == {
        "Milz am [DATE] normal.": "explicit",
        "Leber normal.": "structure",
    }


def test_heading_with_a_name_stays_a_heading(delivery):
    made = delivery.run(
        [report_row("Befund vom 3.4.2021, Frau Habermann:\nMilz normal.\nBeurteilung (3.4.2021):\nLeber normal.")]
    )
    assert made.select("section", "text").rows() == [("findings", "Milz normal."), ("impression", "Leber normal.")]


@pytest.mark.parametrize(
    "change",
    [
        {"patient_name": "Tiedge^Hulda", "patient": "q"},
        {"patient_name": "Tiedge^Hulda", "patient": "q", "shard": 0},
        {"patient_name": "Tiedge^Hulda"},
        {"patient_name": "Tiedge^Hulda", "patient": None, "shard": None},
        {"names": "Tiedge^Hulda", "study": "t", "study_uid": "1.2.6"},
    ],
)
def test_names_of_all_patients_of_a_study_are_scrubbed(delivery, change):
    delivery.add_files(change)
    made = delivery.run([report_row("Befund:\nTiedge kam mit Erika. Hulda ging. Milz normal.")])
    assert made["text"].to_list() == ["[NAME] kam mit [NAME].", "[NAME] ging.", "Milz normal."]


def test_name_of_another_study_and_patient_stays(delivery):
    delivery.add_files({"patient_name": "Tiedge^Hulda", "patient": "q", "study": "t", "study_uid": "1.2.6"})
    assert delivery.run([report_row("Befund:\nTiedge kam.")])["text"].to_list() == ["Tiedge kam."]


def test_sentences_without_captions_are_counted(delivery):
    text = "Institut\nIndikation: Sturz.\nBefund: Leber normal.\nVergleich: Keiner.\nMfG\nMuster"
    made = delivery.run([report_row(text)])
    flow = delivery.metrics["flow"]
    assert made["text"].to_list() == ["Leber normal."]
    assert flow == {"taken": 6, "used": 1, "aside": {"not_read": 4, "context": 1}}
    assert delivery.metrics["tables"]["sentences without captions"] == {
        "letterhead": 1,
        "indication": 1,
        "comparison": 1,
        "closing": 2,
    }


def test_corrected_sentence_is_superseded(delivery):
    made = delivery.run([report_row("Befund:\nLeber normal. Milz normal.\nKorrektur:\nLeber mit Herd.")])
    assert made.select("section", "text").rows() == [("findings", "Milz normal."), ("correction", "Leber mit Herd.")]
    assert delivery.metrics["flow"]["aside"] == {"superseded": 1}
