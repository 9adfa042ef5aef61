"""What a run will take: counted from headers and reports, priced by rates that say where they come from."""

import json
import os

import numpy as np
import pytest
import yaml
from tests.factories import OWN_DATA, write_dicom
from tests.factories.nifti import write_nifti

from refrad.commands import plan
from refrad.config import check_config
from refrad.config.imaging import SEGMENTERS, SegmenterEntry
from refrad.stages import index
from refrad.workflow import estimates
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.mask_budget import mask_budget
from refrad.workflow.site import Site


@pytest.fixture
def config(root):
    return yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def rates(root):
    return yaml.safe_load((root / "workflow" / "rates.yaml").read_text(encoding="utf-8"))


COUNTS = {"files": 1000, "slices": 900, "patients": 10, "volumes": 20, "studies": 10, "reports": 10, "sentences": 200}
COUNTS |= {"CT volumes": 15, "MR volumes": 5}


def by_stage(config, rates, **sections):
    for name, section in sections.items():
        config[name] = config[name] | section
    return {one.stage: one for one in estimates.estimate_stages(COUNTS, check_config(config), rates)}


def test_the_deliveries_are_counted_and_nothing_is_left_behind(
    root, config, tmp_path, write_delivery, monkeypatch, caplog
):
    monkeypatch.chdir(root)
    dicom, reports = write_delivery(tmp_path / "delivery")
    one = {"name": "a", "dicom": str(dicom), "reports": str(reports), "references": None, "masks": None, "shards": 1}
    config |= {"deliveries": [one], "pathvars": {"results": str(tmp_path / "results")}}
    for section, values in (OWN_DATA | {"privacy": {"key": str(tmp_path / "key")}}).items():
        config[section] = config[section] | values
    before = sorted(tmp_path.rglob("*"))
    caplog.set_level("INFO", "refrad")
    counts = plan.count(Site(config))
    assert sorted(tmp_path.rglob("*")) == before
    assert "index: 7 files" in caplog.text and "privacy.key" not in caplog.text  # the key of the count is gone with it
    assert {name: counts[name] for name in ("files", "slices", "patients", "volumes", "CT volumes", "MR volumes")} == {
        **{"files": 7, "slices": 6, "patients": 1, "volumes": 1},
        **{"CT volumes": 1, "MR volumes": 0},
    }
    assert (counts["reports"], counts["sentences"]) == (1, 2)


@pytest.mark.parametrize(
    ("lists", "counted"),
    [
        ({}, (6, 2, 2, 3)),
        ({"include": "patient,P2"}, (3, 1, 1, 1)),
        ({"exclude": "patient,P2"}, (3, 1, 1, 2)),
        ({"include": "patient,P3"}, (0, 0, 0, 0)),
    ],
)
def test_plan_follows_the_lists_that_choose(root, config, tmp_path, monkeypatch, lists, counted):
    monkeypatch.chdir(root)
    for number in range(6):
        patient = f"{number // 3 + 1}"
        write_dicom(
            tmp_path / "dicom" / str(number), np.zeros((8, 8), np.int16), ImagePositionPatient=[0, 0, number],
            PatientID=f"P{patient}", StudyInstanceUID=f"1.{patient}", SeriesInstanceUID=f"1.{patient}.1",
            SOPInstanceUID=f"1.9.{number}", InstanceNumber=number,
        )  # fmt: skip
    findings = ("Liver normal. Spleen normal.", "Liver normal.")
    rows = [f'r{number},1.{number},"Findings: {text}"' for number, text in enumerate(findings, start=1)]
    (tmp_path / "reports.csv").write_text("\n".join(["report_id,study_uid,text", *rows]))
    for name, row in lists.items():
        (tmp_path / f"{name}.csv").write_text(f"kind,value\n{row}\n")
        config["index"][name] = str(tmp_path / f"{name}.csv")
    places = {"dicom": str(tmp_path / "dicom"), "reports": str(tmp_path / "reports.csv"), "shards": 1}
    config |= {"deliveries": [{"name": "a", "references": None, "masks": None, **places}]}
    for section, values in (OWN_DATA | {"privacy": {"key": str(tmp_path / "key")}}).items():
        config[section] = config[section] | values
    config["pathvars"] = {"results": str(tmp_path / "results")}
    counts = plan.count(Site(config))
    assert tuple(counts[name] for name in ("slices", "patients", "reports", "sentences")) == counted
    assert not (tmp_path / "key").exists()


def test_plan_counts_anew_where_the_lists_have_changed(root, config, tmp_path, write_delivery, monkeypatch):
    monkeypatch.chdir(root)
    dicom, reports = write_delivery(tmp_path / "delivery")
    places = {"dicom": str(dicom), "reports": str(reports), "shards": 1}
    config |= {"deliveries": [{"name": "a", "references": None, "masks": None, **places}]}
    private = {"key": str(tmp_path / "key"), "folder": str(tmp_path / "private")}
    for section, values in (OWN_DATA | {"privacy": private}).items():
        config[section] = config[section] | values
    config["pathvars"] = {"results": str(tmp_path / "results")}
    made = {"files": tmp_path / "private/a/files.parquet", "instances": tmp_path / "results/index/a/instances.parquet"}
    site = Site(config)
    index.run(
        dicom=dicom, reports=reports, key=tmp_path / "key", metrics=tmp_path / "metrics.json", shards=1, **made,
        fingerprint=Fingerprint.parse(site.fingerprint("index")),
    )  # fmt: skip
    monkeypatch.setattr(plan.index, "run", None)
    assert plan.count(site)["slices"] == 6  # from the table
    monkeypatch.undo()
    monkeypatch.chdir(root)
    (tmp_path / "exclude.csv").write_text("kind,value\nmodality,CT\n")
    config["index"]["exclude"] = str(tmp_path / "exclude.csv")
    counts = plan.count(Site(config))
    assert (counts["slices"], counts["reports"]) == (0, 0)


def test_plan_counts_anew_where_the_table_of_volumes_is_newer(root, config, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    rows = ["path,patient,study,series,modality", "a.nii,1,1,1,CT", "b.nii,2,1,1,CT"]
    table, instances = tmp_path / "volumes.csv", tmp_path / "results/index/a/instances.parquet"
    for name in "ab":
        write_nifti(tmp_path / f"{name}.nii", np.zeros((8, 9, 6), np.int16), np.eye(4))
    (tmp_path / "reports.csv").write_text("report_id,study_uid,text\nr,1,Liver normal.\n")
    volumes = {"folder": str(tmp_path), "table": str(table)}
    tables = {"reports": str(tmp_path / "reports.csv"), "references": None, "masks": None}
    config |= {"deliveries": [{"name": "a", "volumes": volumes, "shards": 1} | tables]}
    for section, values in (OWN_DATA | {"privacy": {"key": str(tmp_path / "key")}}).items():
        config[section] = config[section] | values
    config["pathvars"] = {"results": str(tmp_path / "results")}
    table.write_text("\n".join(rows[:2]))
    site = Site(config)
    index.run(
        volume_files=site.deliveries["a"].volumes.model_dump_json(), reports=tmp_path, key=tmp_path / "key", shards=1,
        files=tmp_path / "private/a/files.parquet", instances=instances, metrics=tmp_path / "metrics.json",
        fingerprint=Fingerprint.parse(site.fingerprint("index")),
    )  # fmt: skip
    assert plan.count(site)["volumes"] == 1
    table.write_text("\n".join(rows))
    os.utime(table, (instances.stat().st_mtime + 1,) * 2)
    assert plan.count(site)["volumes"] == 2


@pytest.fixture
def write_delivery():
    def make(folder):
        for number in range(6):
            pixels = np.zeros((8, 8), np.int16)
            write_dicom(
                folder / "dicom" / str(number), pixels, ImagePositionPatient=[0, 0, number], InstanceNumber=number
            )
        (folder / "dicom" / "notes.txt").write_text("no image")
        (folder / "reports.csv").write_text(
            'report_id,study_uid,text\nr,1.2.5,"Findings: Liver normal. Spleen normal."\n'
        )
        return folder / "dicom", folder / "reports.csv"

    return make


def test_every_stage_before_evaluation_has_an_estimate_that_says_where_it_comes_from(config, rates, monkeypatch, root):
    monkeypatch.chdir(root)
    found = by_stage(config, rates)
    assert list(found) == [*estimates.ESTIMATED, "train"]
    assert all(one.basis for one in found.values())


def test_a_training_needs_the_disk_for_its_rows(config, rates, monkeypatch, root):
    """Its file of rows has twice the bytes of the shards, and rows of the test patients, a tenth, are not in it."""
    monkeypatch.chdir(root)
    rates["train"]["row_bytes"] = 2.0
    config["index"] = config["index"] | {"test": 0.1}
    estimated = by_stage(config, rates)
    assert estimated["train"].size == pytest.approx(0.9 * 2.0 * estimated["shards"].size)


def test_a_gpu_is_counted_in_gpu_hours(config, rates, monkeypatch, root):
    monkeypatch.chdir(root)
    masks = by_stage(config, rates, masks={"device": "gpu", "variant": "total"})["masks"]
    of_each = [
        mask_budget(rates["masks"], modality, COUNTS[f"{modality} volumes"], "total") for modality in ("CT", "MR")
    ]
    assert masks.gpu and masks.seconds == pytest.approx(3600 * sum(one.gpu_hours for one in of_each))
    assert masks.size == pytest.approx(1e9 * sum(one.store_gb for one in of_each))
    assert plan.format_duration(masks.seconds, masks.gpu) == "0.3 GPU h"


def test_masks_of_ones_own_are_the_measure_of_masks_made_in_the_same_way(config, rates, monkeypatch, root):
    monkeypatch.chdir(root)
    own = {"device": "gpu", "variant": "fast", "seconds": 12.0, "bytes": 1000, "basis": "measured: 9 volumes in x"}
    rates["masks"]["measured"] = own
    masks = by_stage(config, rates, masks={"device": "gpu", "variant": "fast"})["masks"]
    assert (masks.seconds, masks.size, masks.basis) == (20 * 12.0, 20 * 1000, own["basis"])
    assert "published" in by_stage(config, rates, masks={"device": "gpu", "variant": "total"})["masks"].basis


def test_cost_of_masks_follows_the_registry_entry_of_the_segmenter(config, rates, monkeypatch, root):
    monkeypatch.chdir(root)
    monkeypatch.setitem(SEGMENTERS, "dummy", SegmenterEntry("dummy_segmenter:create"))
    masks = by_stage(config, rates, masks={"segmenter": "dummy", "weights": "no/such/folder"})["masks"]
    assert masks.seconds is None and masks.basis == "unknown: workflow/rates.yaml has no rate of dummy"
    masks = by_stage(config, rates, masks={"segmenter": "precomputed"})["masks"]
    assert (masks.seconds, masks.basis) == (0.0, "precomputed masks")


def test_what_is_not_known_is_a_question_mark_and_no_number(config, rates, monkeypatch, root):
    monkeypatch.chdir(root)
    assert plan.format_duration(by_stage(config, rates, masks={"variant": "total"})["masks"].seconds, False) == "?"


def test_no_tokens_are_planned_where_no_language_model_is_configured(config, rates, monkeypatch, root):
    monkeypatch.chdir(root)
    assert estimates.estimate_tokens(COUNTS, 100, check_config(config), rates) == []


OTHERS = [
    {"name": "Seer", "model": "seer", "tasks": ["vqa", "detect"], "boxes": {"unit": 1000, "order": "yxyx"}},
    {"name": "local", "folder": "docs", "tasks": ["caption"]},
]


def other_estimates(config, rates, **train):
    seer = {"endpoint": "http://gpu:8000/v1", "model": "seer", "price": [2.0, 10.0]}
    config["llm"] = config["llm"] | {"vision": {"seer": seer}}
    config["evaluate"] = config["evaluate"] | {"others": OTHERS, "samples": 50}
    config["index"] = config["index"] | {"test": 0.1}
    config["train"] = config["train"] | train
    rate = {"requests": 8, "read": 400, "written": 10, "basis": "b"}
    rates["others"] = {"vqa": rate, "detect": rate | {"requests": 1}, "caption": rate | {"requests": 1}}
    return estimates.estimate_others(COUNTS, 400, (5, 20), check_config(config), rates)


def test_requests_to_other_models_are_questions_of_their_tasks(config, rates, monkeypatch, root):
    """A tenth of 400 images are test images. Seer: 8 questions and a caption about each of 40, and 20 questions of benchmarks."""
    monkeypatch.chdir(root)
    seer, local = other_estimates(config, rates)
    assert (seer.name, seer.images, seer.requests) == ("Seer", 40 + 5, 40 * 8 + 20 + 40)
    assert (seer.read, seer.written) == (380 * 400, 380 * 10)
    assert seer.price == pytest.approx((2.0 * 380 * 400 + 10.0 * 380 * 10) / 1e6)
    assert (local.images, local.requests, local.price) == (40, 40, None)


def test_questions_of_benchmarks_are_counted_in_the_files(
    root, config, tmp_path, images, monkeypatch, capsys, write_delivery
):
    """`images` has 6 test images with a question each; of 4 samples there are 4."""
    monkeypatch.chdir(root)
    dicom, reports = write_delivery(tmp_path / "delivery")
    delivery = {
        "name": "a",
        "dicom": str(dicom),
        "reports": str(reports),
        "references": None,
        "masks": None,
        "shards": 1,
    }
    config |= {"deliveries": [delivery], "pathvars": {"results": str(tmp_path / "results")}}
    for section, values in (OWN_DATA | {"privacy": {"key": str(tmp_path / "key")}}).items():
        config[section] = config[section] | values
    others = [{"name": "local", "folder": "docs", "tasks": ["vqa"]}]
    config["evaluate"] = config["evaluate"] | {"public": [str(images)], "others": others, "samples": 4}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    plan.main([tmp_path / "config.yaml"])
    assert "evaluate.others, local: 4 requests about 4 images, which are sent with each" in capsys.readouterr().out


def test_masks_are_not_compared_with_boxes_of_other_models(config, rates, monkeypatch, root):
    monkeypatch.chdir(root)
    seer, _ = other_estimates(config, rates, variant="segmentation")
    assert seer.requests == 40 * 8 + 20


def test_a_run_of_ones_own_replaces_the_built_in_figures(rates, tmp_path):
    metrics = {"stage": "mentions", "fingerprint": "{}", "unit": "captions", "made": {}, "tables": {}}
    metrics |= {"flow": {"taken": 50, "used": 50, "aside": {}}, "seconds": {"total": 100.0}}
    path = tmp_path / "results" / "mentions" / "a" / "0" / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(metrics))
    changed = estimates.measured_rates(tmp_path / "results", tmp_path / "stores", rates, "cpu", "fast")
    assert changed["stages"]["mentions"]["seconds"] == 2.0
    assert "measured: 50 sentences" in changed["stages"]["mentions"]["basis"]
    assert changed["stages"]["captions"] == rates["stages"]["captions"]


def test_a_folder_without_a_run_is_no_measure(rates, tmp_path):
    with pytest.raises(FileNotFoundError, match="no metrics"):
        estimates.measured_rates(tmp_path, tmp_path, rates, "cpu", "fast")


def test_the_dataset_is_expected_by_volumes_and_by_sentences_and_never_larger_than_the_archive(rates):
    assert sorted(estimates.expected_images(COUNTS, rates).values()) == [22, 244]
    assert set(estimates.expected_images(COUNTS | {"slices": 20}, rates).values()) == {20}


def test_the_last_line_adds_up_what_is_known_and_names_what_is_not():
    one = estimates.Estimate("masks", 1, "volumes", 7200.0, True, 3e9, "x")
    two = estimates.Estimate("index", 1, "files", None, False, 1e9, "x")
    assert (
        plan.format_table([one, two], {}).splitlines()[-1].split(None, 1)[1]
        == "0 s, 2.0 GPU h, 4 GB, without the time of index"
    )


@pytest.mark.parametrize(("size", "text"), [(999, "999 B"), (1500, "2 kB"), (2.5e12, "2.5 TB"), (None, "?")])
def test_bytes_are_said_in_units_that_people_read(size, text):
    assert plan.format_bytes(size) == text


def test_images_are_expected_by_sentences_where_volumes_are_not_counted(rates):
    (share,) = [entry for entry in rates["dataset"] if entry["unit"] == "sentences"]
    counts = {"reports": 10, "sentences": 200}
    assert estimates.expected_images(counts, rates) == {share["basis"]: round(200 * share["images"])}
