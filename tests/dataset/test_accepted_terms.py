"""Data of sets that may not be redistributed leave only with accepted terms, and the copy states them."""

import json
from collections import Counter
from contextlib import chdir
from datetime import date

import pytest
from pycocotools.coco import COCO
from tests.factories import ROOT, describe_dataset, write_shards

from refrad.cli import main
from refrad.commands.convert import shard_truth
from refrad.config.public_sets import PUBLIC_SETS
from refrad.core.contracts import InstanceTable, MaskTable
from refrad.core.noted_exports import noted_exports
from refrad.core.tables import frame_of, read_table, write_table
from refrad.core.types import SPLITS
from refrad.dataset.accepted_terms import AcceptedTerms, require_acceptance, with_accepted
from refrad.dataset.exports import EXPORTERS
from refrad.dataset.file_list import list_dataset
from refrad.dataset.shard_io import read_rows
from refrad.evaluation.metrics.json_lines import write_objects
from refrad.workflow.fingerprint import Fingerprint

SCHEMA = str(ROOT / "workflow" / "anatomy" / "classes.yaml")
DAY = date(2026, 11, 29)
ALL = ("images", "reports", "masks")
SOURCES = {"train": "ct-rate", "validation": None, "test": "totalsegmentator"}
ACCEPTANCE = ["--accept-terms", "ct-rate", "--accept-terms", "totalsegmentator"]
WITHOUT_VOLUMES = [name for name, entry in EXPORTERS.items() if not entry.needs_volumes]


@pytest.mark.parametrize(
    ("sources", "parts", "accepted"),
    [
        ([None], ALL, []),
        ([None, "ct-rate"], ALL, ["ct-rate"]),
        (["ct-rate", "merlin"], ALL, ["merlin", "ct-rate", "merlin"]),
        (["totalsegmentator"], ALL, ["totalsegmentator"]),  # its notes
        (["totalsegmentator"], ("images", "masks"), []),
    ],
)
def test_each_set_that_may_not_be_redistributed_is_accepted(sources, parts, accepted):
    terms = require_acceptance(sources, parts, accepted, DAY)
    assert {entry.public_set.name for entry in terms} == set(accepted)
    for missing in set(accepted):
        with pytest.raises(ValueError, match=f"add --accept-terms {missing}$"):
            require_acceptance(sources, parts, [name for name in accepted if name != missing], DAY)


def test_refusal_names_sets_parts_addresses_and_flags():
    with pytest.raises(ValueError, match="not written: ") as error:
        require_acceptance(["merlin", "totalsegmentator", None], ALL, [], DAY)
    text = str(error.value)
    assert "RadGPT radiologist notes (reports: https://zenodo.org/records/10047292)" in text and "\n" not in text
    assert "Merlin, with Merlin Plus (images and reports and masks: https://github.com/StanfordMIMI/Merlin)" in text
    assert text.endswith("add --accept-terms merlin --accept-terms totalsegmentator")


@pytest.mark.parametrize(
    ("sources", "name", "message"),
    [
        (["ct-rate"], "ct-rat", "no public set has this name, did you mean ct-rate?; needed here: ct-rate"),
        (["ct-rate"], "CT-RATE", "no public set has this name, did you mean ct-rate?; needed here: ct-rate"),
        (["ct-rate"], "", "no public set has this name; needed here: ct-rate"),
        (["ct-rate"], "merlin", "this copy holds nothing of it that may not be redistributed; needed here: ct-rate"),
        ([None], "merlin", "this copy holds nothing of it that may not be redistributed; leave it out"),
        ([None], "all", "no public set has this name; leave it out"),
    ],
)
def test_unknown_and_needless_names_are_refused(sources, name, message):
    with pytest.raises(ValueError, match="--accept-terms") as error:
        require_acceptance(sources, ALL, ["ct-rate", name] if sources == ["ct-rate"] else [name], DAY)
    assert str(error.value) == f"--accept-terms {name}: {message}"


def test_record_of_a_copy_of_a_copy_keeps_the_first():
    first, second = (AcceptedTerms(PUBLIC_SETS["ct-rate"], date(2026, 1, day)) for day in (1, 2))
    card = "# A\n\n## Columns and their terms\n\nx\n\n## Loading\n\ny\n"
    once = with_accepted(card, [first])
    assert once.index(first.sentence) < once.index("## Columns") and with_accepted(card, []) == card
    twice = with_accepted(once, [second])
    assert twice.count("## Accepted terms") == 1 and twice.index(second.sentence) < twice.index(first.sentence)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, images):
    """A dataset of CT-RATE (train), the site's own images (validation) and TotalSegmentator (test)."""
    folder = tmp_path_factory.mktemp("mixed") / "shards"
    rows = [
        row | {"patient": row["split"], "study": row["split"], "public_set": SOURCES[row["split"]]}
        for row in read_rows([images])
    ]
    describe_dataset(folder, write_shards(folder, {"a/0": rows}), title="Card", terms="Internal use", creator="Site")
    return folder


def export(dataset, form, out, *flags):
    return main(["export", form, "--images", str(dataset), "--out", str(out), "--schema", SCHEMA, *flags])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "add --accept-terms ct-rate --accept-terms totalsegmentator"),
        (["--accept-terms", "ct-rate"], "add --accept-terms totalsegmentator"),
        (["--accept-terms", "merlin", *ACCEPTANCE], "--accept-terms merlin: this copy holds nothing of it"),
    ],
)
@pytest.mark.parametrize("form", ["hf", "authors"])
def test_export_without_accepted_terms_leaves_nothing(dataset, tmp_path, form, flags, message, capsys):
    assert export(dataset, form, tmp_path / "out", *flags) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.fixture
def today(monkeypatch):
    """The day of all exports of a test, which may run over midnight."""

    class SameDay(date):
        @classmethod
        def today(cls):
            return DAY

    for module in ("refrad.commands.export", "refrad.core.noted_exports"):
        monkeypatch.setattr(f"{module}.date", SameDay)
    return DAY.isoformat()


@pytest.mark.parametrize("form", WITHOUT_VOLUMES)
def test_each_export_states_terms_and_what_was_accepted(dataset, tmp_path, form, today):
    out = tmp_path / "out"
    assert export(dataset, form, out, *ACCEPTANCE) == 0
    for page in ("README.md", "TERMS.md", *(["CARD.md"] if form != "hf" else [])):
        text = (out / page).read_text()
        for name in ("ct-rate", "totalsegmentator"):
            entry = PUBLIC_SETS[name]
            assert f"{today}: the terms of {entry.title} ({entry.address}) were accepted" in text, page
            assert entry.images.text in text and entry.reports.text in text, page
    counts = json.loads((out / "export.json").read_text())
    assert counts["public_sets"] == ["ct-rate", "totalsegmentator"]
    assert {entry["public_set"]: entry["date"] for entry in counts["accepted_terms"]} == {
        "ct-rate": today,
        "totalsegmentator": today,
    }
    assert "arXiv:2403.17834" in (out / "TERMS.md").read_text()


def test_export_of_an_export_needs_and_keeps_what_was_accepted(dataset, tmp_path, capsys):
    mlcroissant = pytest.importorskip("mlcroissant")
    first, second = tmp_path / "first", tmp_path / "second"
    assert export(dataset, "hf", first, *ACCEPTANCE) == 0
    assert export(first, "hf", second) == 1 and "add --accept-terms ct-rate" in capsys.readouterr().err
    assert export(first, "hf", second, *ACCEPTANCE) == 0
    assert (second / "README.md").read_text().count("were accepted for this copy by --accept-terms ct-rate") == 2
    croissant = json.loads((second / "croissant.json").read_text())
    assert sum("--accept-terms ct-rate" in text for text in croissant["conditionsOfAccess"]) == 2
    issues = mlcroissant.Dataset(jsonld=str(second / "croissant.json")).metadata.ctx.issues
    assert not issues.errors and not issues.warnings


def test_images_of_coco_have_the_license_of_their_set(dataset, tmp_path):
    assert export(dataset, "coco", tmp_path / "coco", *ACCEPTANCE) == 0
    for split, name in SOURCES.items():
        coco = COCO(str(tmp_path / "coco" / "annotations" / f"instances_{split}.json"))
        licenses = {entry["id"]: entry for entry in coco.dataset["licenses"]}
        (of_images,) = {image["license"] for image in coco.imgs.values()}
        assert licenses[of_images]["url"] == (PUBLIC_SETS[name].address if name else "")


def test_file_without_a_card_is_exported_with_the_terms_of_its_sets(dataset, tmp_path, capsys):
    (file,) = (dataset / "data").rglob("train.parquet")
    lone = tmp_path / "train.parquet"
    lone.write_bytes(file.read_bytes())
    assert export(lone, "coco", tmp_path / "out") == 1 and "add --accept-terms ct-rate\n" in capsys.readouterr().err
    assert export(lone, "coco", tmp_path / "out", "--accept-terms", "ct-rate") == 0
    assert "CT-RATE (https://" in (tmp_path / "out" / "TERMS.md").read_text()


def copy_for_people(command, dataset, folder, *flags):
    """Run a command that copies images or sentences for people outside: the status, and the folder of the copy."""
    out = folder / "copy"
    if command == "audit":
        return main(["audit", "--images", str(dataset), "--out", str(out), "--schema", SCHEMA, *flags]), out
    if command == "convert":
        splits = ["--splits", "train", "validation", "test"]
        return main(["convert", str(dataset), "--out", str(out / "truth.jsonl"), *splits, *flags]), out
    truth, predictions, files = folder / "truth.jsonl", folder / "predictions.jsonl", list_dataset(dataset)
    rows = list(shard_truth(files, SPLITS, ["caption"], Counter()))
    write_objects(truth, rows)
    write_objects(predictions, ({"id": row["id"], "answer": "Liver."} for row in rows))
    page = ["--page", str(ROOT / "workflow/report/study.html"), "--pairs", str(len(rows))]
    study = ["study", "export", "--truth", str(truth), "--predictions", str(predictions), "--out", str(out)]
    return main([*study, *page, *flags]), out


@pytest.mark.parametrize("command", ["audit", "convert", "study"])
def test_sheets_and_truth_need_the_terms_too(dataset, tmp_path, command, capsys):
    """Pictures and sentences that leave in another form are copies all the same."""
    status, out = copy_for_people(command, dataset, tmp_path)
    assert status == 1 and "add --accept-terms ct-rate --accept-terms totalsegmentator\n" in capsys.readouterr().err
    assert not out.exists()
    status, out = copy_for_people(command, dataset, tmp_path, *ACCEPTANCE)
    assert status == 0
    if command == "convert":
        rows = [json.loads(line) for line in (out / "truth.jsonl").read_text().splitlines()]
        assert {row.get("public_set") for row in rows} == set(SOURCES.values())
        return
    for name in ("ct-rate", "totalsegmentator"):
        text = (out / f"TERMS.{name}.md").read_text()
        assert f"were accepted for this copy by --accept-terms {name}" in text
        assert PUBLIC_SETS[name].reports.text in text


def test_truth_of_the_sites_own_images_needs_no_terms(dataset, tmp_path):
    out = tmp_path / "truth.jsonl"
    assert main(["convert", str(dataset), "--out", str(out), "--splits", "validation"]) == 0
    assert "public_set" not in out.read_text()


def test_noted_export_has_what_was_accepted(dataset, tmp_path, today):
    (tmp_path / "private").mkdir()
    with chdir(tmp_path):
        assert export(dataset, "coco", tmp_path / "out", *ACCEPTANCE) == 0
    (origin,) = noted_exports(tmp_path / "private").values()
    assert origin == f"export, {today}, terms of ct-rate, totalsegmentator accepted"


def export_masks(study, out, public_set, *flags):
    study.structures()
    table = read_table(study.path("masks"), MaskTable)
    write_table(study.path("masks"), table, MaskTable, Fingerprint("masks", 1, {}, {}), public_set)
    arguments = ["--masks", study.path("masks"), "--mask-store", study.mask_store, "--schema", study.schema]
    return main(["export-masks", *map(str, arguments), "--out", str(out), *flags])


def test_masks_of_a_set_leave_with_accepted_terms_only(study, tmp_path, capsys):
    out = tmp_path / "out"
    assert export_masks(study, out, "merlin") == 1
    assert "(images and masks: https://" in capsys.readouterr().err and not out.exists()
    assert export_masks(study, out, "merlin", "--accept-terms", "merlin") == 0
    text = (out / "TERMS.merlin.md").read_text()
    assert (
        "Stanford research use agreement" in text and "by --accept-terms merlin" in text and "arXiv:2406.06512" in text
    )


def test_masks_of_totalsegmentator_leave_with_their_attribution(study, tmp_path, capsys):
    out = tmp_path / "out"
    assert export_masks(study, out, "totalsegmentator", "--accept-terms", "totalsegmentator") == 1
    assert "holds nothing of it that may not be redistributed; leave it out" in capsys.readouterr().err
    assert export_masks(study, out, "totalsegmentator") == 0
    assert "CC-BY-4.0" in (out / "TERMS.totalsegmentator.md").read_text()


def test_own_masks_need_no_terms(study, tmp_path):
    assert export_masks(study, tmp_path / "out", None) == 0
    assert not list((tmp_path / "out").glob("TERMS*"))


def test_images_of_a_set_in_dicom_leave_with_accepted_terms_only(tmp_path, capsys):
    stub = Fingerprint("index", 1, {}, {})
    write_table(tmp_path / "instances.parquet", frame_of([], InstanceTable), InstanceTable, stub, "ct-rate")
    names = ("dicom", "instances", "files", "slices", "key", "out")
    words = [word for name in names for word in (f"--{name}", str(tmp_path / f"{name}.parquet"))]
    assert main(["export-dicom", *words]) == 1
    assert "add --accept-terms ct-rate" in capsys.readouterr().err
    assert not (tmp_path / "key.parquet").exists() and not (tmp_path / "out.parquet").exists()
