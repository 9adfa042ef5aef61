"""Stage evaluate: answers, scores with baselines, and error analysis of a small trained model."""

import base64
import io
import json
from functools import partial

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.factories import fingerprint, image_row, tiny_training
from tests.factories.processes import train_in_process
from tests.llm.talking import TalkingServer, completion

from refrad.cli import main
from refrad.core.manifests import read_sealed
from refrad.dataset.shard_io import read_rows, write_shard
from refrad.reporting.comparison_page import comparison_tables
from refrad.stages import evaluate
from refrad.workflow.fingerprint import Fingerprint


@pytest.fixture(scope="module")
def public(tmp_path_factory, schema):
    """A benchmark with two test questions."""
    path = tmp_path_factory.mktemp("public") / "slake.parquet"
    rng = np.random.default_rng(1)
    rows = [image_row(number, "test", rng) | {"captions": [], "structures": []} for number in range(2)]
    rows = [row | {"image_id": f"slake:{row['image_id']}"} for row in rows]
    write_shard(path, rows, schema, Fingerprint("public", 1, {}, {}))
    return path


@pytest.fixture(scope="module")
def evaluated(images, public, root, tmp_path_factory):
    """A model that learned two squares, asked about squares that it never saw."""
    folder = tmp_path_factory.mktemp("evaluate")
    schema = root / "workflow" / "anatomy" / "classes.yaml"
    training = tiny_training(
        tower_pretraining_steps=150,
        steps=250,
        batch=8,
        learning_rate=2e-3,
        tasks={"locate": 0.8, "detect": 0.1, "vqa": 0.1},
    )
    checkpoint, metrics = train_in_process(images, schema, folder, training), folder / "metrics.json"
    shared = {"images": [images], "schema": schema, "checkpoint": checkpoint}
    scale = root / "workflow" / "prompts" / "score.yaml"
    names = {"truth": "truth.jsonl", "predictions": "predictions.jsonl", "scores": "scores.parquet", "store": "answers"}
    names["others"] = "others"
    files = {name: folder / file for name, file in names.items()}
    run = partial(
        evaluate.run,
        **shared,
        **files,
        scale=scale,
        metrics=metrics,
        fingerprint=fingerprint("evaluate", samples=100, resamples=500, text_metrics=["rougel"]),
    )
    run()
    first = read_sealed(metrics)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("refrad.evaluation.answer_cache.generate", None)  # a model that cannot be asked again
        run(against=[files["scores"]])
        again = read_sealed(metrics)
    run(public=[public])
    with_public = read_sealed(metrics)
    return folder, first, again, with_public, run


@pytest.mark.slow
def test_trained_model_beats_the_untrained_one(evaluated):
    _, metrics, *_ = evaluated
    assert metrics["mean_iou"] > metrics["baselines"]["untrained"]["mean_iou"] + 0.1
    assert metrics["baselines"]["untrained"]["mean_iou"] < 0.05
    assert metrics["class_recall"] > 0.8


@pytest.mark.slow
def test_mean_box_is_a_baseline(evaluated):
    _, metrics, *_ = evaluated
    assert 0.2 < metrics["baselines"]["mean_box"]["mean_iou"] < 0.9
    assert metrics["baselines"]["mean_box"]["class_recall"] == 1


@pytest.mark.slow
def test_baselines_rest_on_a_sample_and_so_does_the_number_beside_them(evaluated, tmp_path):
    """Two of the six images have four of the twelve targets; on all images the number is that of the model."""
    _, metrics, *_, run = evaluated
    assert (metrics["same_items"]["images"], metrics["same_items"]["asked"]) == (6, 12)
    assert metrics["same_items"]["mean_iou"] == metrics["mean_iou"]
    files = {name: tmp_path / name for name in ("truth", "predictions", "scores", "metrics", "others")}
    run(**files, fingerprint=fingerprint("evaluate", samples=100, resamples=500, baseline_samples=2))
    sampled = json.loads((tmp_path / "metrics").read_text())
    assert (sampled["same_items"]["images"], sampled["same_items"]["asked"]) == (2, 4)
    assert sampled["mean_iou"] == metrics["mean_iou"]


@pytest.mark.slow
@pytest.mark.parametrize("compute_dtype", ["bfloat16", "int8"])
def test_answers_in_few_bits_are_near_those_in_float32(evaluated, tmp_path, compute_dtype):
    """bfloat16 has 8 bits of precision: 0.4 % of a logit; int8 rounds weights to 0.4 % of the largest of their row. A word changes only
    where two are nearly equal, as neighbouring bins are, so boxes move by few bins and names hardly ever change.
    """
    if compute_dtype == "int8":
        pytest.importorskip("torchao", reason="needs the extra int8")
    _, metrics, *_, run = evaluated
    files = {name: tmp_path / name for name in ("truth", "predictions", "scores", "metrics", "others")}
    run(**files, fingerprint=fingerprint("evaluate", samples=100, resamples=500, compute_dtype=compute_dtype))
    half = json.loads((tmp_path / "metrics").read_text())
    assert half["mean_iou"] == pytest.approx(metrics["mean_iou"], abs=0.05)
    assert half["class_recall"] == pytest.approx(metrics["class_recall"], abs=0.1)


@pytest.mark.slow
def test_each_question_of_each_test_image_is_answered(evaluated):
    folder, metrics, *_ = evaluated
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert metrics["images"] == 6 and metrics["asked"] == 12
    assert sorted({row["task"] for row in rows}) == ["caption", "detect", "locate", "vqa"]
    ours = [row for row in rows if not row["image_id"].startswith("slake:")]
    assert len(ours) == 6 * (2 + 2 + 1)  # two mentions, a caption with and one without boxes, and a question each


@pytest.mark.slow
def test_each_number_has_a_definition(evaluated):
    _, metrics, *_ = evaluated
    assert {row["metric"] for row in metrics["scores"]} == set(metrics["metrics"])
    assert "rougel" in metrics["metrics"]  # of evaluate.text_metrics
    explained = {name.split(".")[0] for name in metrics["definitions"]}
    numbers = {
        "mean_iou",
        "mean_iou_interval",
        "class_recall",
        "iou50",
        "free",
        "vqa",
        "baselines",
        "blanked",
        "same_items",
        "caption_baselines",
    }
    assert numbers <= set(metrics) and numbers <= explained


@pytest.mark.slow
def test_stored_answers_are_scored_without_the_model(evaluated):
    _, first, again, *_ = evaluated
    assert first | {"compared": []} == again | {"compared": []}
    assert len(again["compared"]) > 5 and {row["difference"] for row in again["compared"]} == {0}


@pytest.mark.slow
def test_benchmarks_do_not_change_the_other_scores(evaluated):
    _, first, _, with_public, _ = evaluated
    assert {row["dataset"] for row in first["scores"]} == {"internal"}
    ours = [row for row in with_public["scores"] if row["dataset"] == "internal" and row["by"] is None]
    assert ours == [row for row in first["scores"] if row["by"] is None]
    (slake,) = [
        row for row in with_public["scores"] if (row["dataset"], row["metric"], row["by"]) == ("slake", "f1", None)
    ]
    assert slake["items"] == 2


@pytest.mark.slow
def test_leaked_test_images_are_not_evaluated(evaluated, images, public, tmp_path, schema):
    *_, run = evaluated
    stolen = [row | {"image_id": "slake:x", "split": "test", "patient": "x"} for row in read_rows([images])][:1]
    rows = [*read_rows([public]), *(row | {"captions": [], "structures": []} for row in stolen)]
    write_shard(tmp_path / "slake.parquet", rows, schema, Fingerprint("public", 1, {}, {}))
    kept = {name: tmp_path / name for name in ("truth", "predictions", "scores", "others", "metrics")}
    run(public=[tmp_path / "slake.parquet"], **kept)
    metrics = json.loads((tmp_path / "metrics").read_text())
    assert metrics["leaks"]["found"] == 1
    (slake,) = [row for row in metrics["scores"] if (row["dataset"], row["metric"], row["by"]) == ("slake", "f1", None)]
    assert slake["items"] == 2


@pytest.mark.slow
def test_truth_names_the_public_set_of_its_images(evaluated, images, tmp_path, schema):
    """So that a study for raters knows whose sentences it hands out."""
    *_, run = evaluated
    tested = [row["image_id"] for row in read_rows([images]) if row["split"] == "test"]
    of_set = set(tested[::2])
    rows = [row | {"public_set": "ct-rate" if row["image_id"] in of_set else None} for row in read_rows([images])]
    write_shard(tmp_path / "images.parquet", rows, schema, Fingerprint("shards", 1, {}, {}))
    files = {name: tmp_path / name for name in ("truth", "predictions", "scores", "metrics", "others")}
    run(images=[tmp_path / "images.parquet"], **files)
    truth = [json.loads(line) for line in (tmp_path / "truth").read_text().splitlines()]
    assert {row["image_id"]: row.get("public_set") for row in truth} == {
        name: "ct-rate" if name in of_set else None for name in tested
    }


@pytest.mark.slow
def test_command_gives_the_same_scores_from_the_files(evaluated, capsys):
    folder, _, _, metrics, _ = evaluated
    out = folder / "again.json"
    files = [str(folder / "predictions.jsonl"), "--truth", str(folder / "truth.jsonl"), "--out", str(out)]
    assert main(["score", *files, "--resamples", "500"]) == 0
    again = {(row["task"], row["metric"]): row for row in json.loads(out.read_text())["scores"] if row["by"] is None}
    (iou,) = [row for row in metrics["scores"] if row["metric"] == "iou" and row["by"] is None]
    assert again["locate", "iou"] == iou and iou["mean"] == pytest.approx(metrics["mean_iou"], abs=1e-9)
    assert "locate" in capsys.readouterr().out


@pytest.mark.slow
def test_error_analysis_adds_up(evaluated):
    folder, metrics, *_ = evaluated
    assert sum(row["count"] for row in metrics["histogram"]) == metrics["asked"]
    assert metrics["sides"] == {"asked": 0}  # a liver and a spleen have no twin
    assert len(metrics["examples"]["best"]) == 6 and metrics["examples"]["best"][0]["iou"] > 0
    assert len(pl.read_parquet(folder / "scores.parquet").filter(metric="iou")) == 12


def tell_size(body):
    """The answer of a model that sees the sent picture: its width and height."""
    url = body["messages"][0]["content"][0]["image_url"]["url"]
    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return completion(f"CT of {picture.width} x {picture.height}")


@pytest.mark.slow
def test_other_models_are_scored_in_pairs_and_asked_once(evaluated, public, root, tmp_path, caplog):
    folder, first, *_, run = evaluated
    server = TalkingServer(tell_size)
    answered = {"endpoint": server.endpoint, "model": "seer"}
    roles = {
        "vision.seer": answered,
        "vision.gone": {"endpoint": "http://127.0.0.1:9/v1", "model": "gone", "patience": 0.1},
    }
    llm = json.dumps(
        {"prompts": str(root / "workflow/prompts"), "store": str(tmp_path / "llm"), "log": "", "roles": roles}
    )
    names = ("truth", "predictions", "scores", "others", "metrics")
    prompts = {name: str(root / "workflow" / "prompts" / f"{name}.yaml") for name in ("others", "paligemma")}
    entries = [
        {"name": "gone", "model": "gone", "prompts": prompts["others"]},
        {
            **{"name": "Seer 1", "model": "seer", "prompts": prompts["others"], "tasks": ["vqa", "caption", "detect"]},
            **{"boxes": {"unit": 1000, "order": "yxyx"}},
        },
        {
            **{"name": "tiny", "folder": str(folder / "x"), "prompts": prompts["paligemma"], "tokens": 4},
            **{"tasks": ["vqa", "locate"], "boxes": {"unit": "loc", "order": "yxyx"}},
        },
    ]

    def results_of(others):
        choice = fingerprint("evaluate", samples=100, resamples=200, others=others)
        run(public=[public], llm=llm, fingerprint=choice, **{name: tmp_path / name for name in names})
        return read_sealed(tmp_path / "metrics")

    seer = results_of(entries[1:2])["others"][0]
    sent = len(server.bodies)
    metrics = results_of(entries)
    server.stop()
    said = [record.getMessage() for record in caplog.records if "is needed after" in record.getMessage()]
    assert len(said) == 1 and said[0].startswith("evaluate.others: gone: gone: no server answers at")
    assert (
        len(server.bodies) == sent == 20
    )  # a question for six images of the site and two of the benchmark, and a caption with and without boxes for the six
    gone, again, tiny = metrics["others"]
    assert again == seer and seer["counts"]["answered"] == 20 and seer["failure"] is None
    assert gone["failure"].startswith("gone: no answer") and gone["scores"] == []
    assert tiny["failure"] is None and tiny["counts"]["asked"] == 8 + 12
    f1 = {row["dataset"]: row for row in seer["compared"] if row["metric"] == "f1"}
    assert set(f1) == {"internal", "slake"} and f1["internal"]["items"] == 6
    assert f1["internal"]["theirs"] == pytest.approx(2 * (1 / 5) * 1 / (1 / 5 + 1))  # one of "CT of 64 x 64" is in "CT"
    assert metrics["mean_iou"] == first["mean_iou"]
    rows = (tmp_path / "others" / "Seer 1.predictions.jsonl").read_text().splitlines()
    assert {json.loads(row)["answer"] for row in rows} == {"CT of 64 x 64"}
    asked = [[row.name for row in table.rows if not row.published] for table in comparison_tables(metrics)]
    assert asked == [["RadGrounder", "Seer 1", "tiny"]] * 2
    means = comparison_tables(metrics)[0].rows[1].means
    assert {task for task, _ in means} == {"vqa", "caption", "detect"}
    assert means["detect", "g_iou"]["mean"] == 0 and means["caption", "cider_released"]["items"] == 6


@pytest.fixture(scope="module")
def segmented(images, root, tmp_path_factory):
    """A model that learned for some seconds to mark squares by masks, asked about squares that it never saw."""
    folder = tmp_path_factory.mktemp("segmented")
    schema = root / "workflow" / "anatomy" / "classes.yaml"
    training = tiny_training(
        variant="segmentation",
        tower_pretraining_steps=60,
        steps=120,
        batch=8,
        learning_rate=2e-3,
        tasks={"locate": 0.7, "detect": 0.3, "vqa": 0.0},
    )
    checkpoint = train_in_process(images, schema, folder, training)
    shared = {"images": [images], "schema": schema, "checkpoint": checkpoint}
    names = {"truth": "truth.jsonl", "predictions": "predictions.jsonl", "scores": "scores.parquet", "store": "answers"}
    names["others"] = "others"
    run = partial(
        evaluate.run,
        **shared,
        **{name: folder / file for name, file in names.items()},
        scale=root / "workflow" / "prompts" / "score.yaml",
        metrics=folder / "metrics.json",
        fingerprint=fingerprint("evaluate", samples=100, resamples=200),
    )
    run()
    return folder, json.loads((folder / "metrics.json").read_text()), run


@pytest.mark.slow
def test_masks_are_scored_as_written(segmented, capsys):
    folder, metrics, _ = segmented
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    masks = [entity["mask"] for row in rows for entity in row.get("entities", ())]
    assert masks and all(mask["size"] == [64, 64] for mask in masks)
    out = folder / "again.json"
    files = [str(folder / "predictions.jsonl"), "--truth", str(folder / "truth.jsonl"), "--out", str(out)]
    assert main(["score", *files, "--resamples", "200"]) == 0
    scores = json.loads(out.read_text())["scores"]
    again = {(row["task"], row["metric"]): row["mean"] for row in scores if row["by"] is None}
    for metric, name in (("iou", "mean_iou"), ("dice", "mean_dice"), ("class_recall", "class_recall")):
        assert again["locate", metric] == pytest.approx(metrics[name], abs=1e-9)
    assert again["detect", "g_iou"] == pytest.approx(metrics["free"]["g_iou"], abs=1e-9)
    assert "dice" in capsys.readouterr().out


@pytest.mark.slow
def test_masks_are_compared_with_baselines_without_a_model(segmented):
    _, metrics, _ = segmented
    assert metrics["marks"] == "masks" and metrics["asked"] == 12 and metrics["similarity"] == "equal phrases"
    paper = {(row["task"], row["metric"]): row["mean"] for row in metrics["paper"] if row["dataset"] == "internal"}
    assert paper["vqa", "accuracy"] == 0.956  # of masks, not the 0.946 of boxes
    assert ("detect", "g_iou") not in paper  # its names are compared by similarity, ours for equality
    assert set(metrics["baselines"]) == {"untrained", "mean_mask", "mean_box"}
    assert 0.2 < metrics["baselines"]["mean_mask"]["mean_dice"] < 0.95
    assert metrics["baselines"]["untrained"]["mean_dice"] < 0.05 < metrics["mean_dice"]
    assert sum(row["count"] for row in metrics["histogram"]) == 12


@pytest.mark.slow
def test_masks_are_predicted_once(segmented, monkeypatch):
    folder, metrics, run = segmented
    for name in ("generate", "generate_masks"):
        monkeypatch.setattr(f"refrad.evaluation.answer_cache.{name}", None)  # a model that cannot be asked again
    run()
    assert json.loads((folder / "metrics.json").read_text()) == metrics


def test_reports_made_from_masks_are_never_evaluated(images, root, schema, tmp_path):
    """Before anything else is read: the checkpoint is not even there."""
    rows = [row | {"public_set": "abdomenatlas" if row["split"] == "test" else None} for row in read_rows([images])]
    write_shard(tmp_path / "images.parquet", rows, schema, Fingerprint("shards", 6, {}, {}))
    names = ("checkpoint", "store", "scale", "truth", "predictions", "scores", "others", "metrics")
    with pytest.raises(
        ValueError, match="6 images of abdomenatlas are in validation or test, and its reports were made from"
    ):
        evaluate.run(
            images=[tmp_path / "images.parquet"],
            schema=root / "workflow" / "anatomy" / "classes.yaml",
            fingerprint=fingerprint("evaluate"),
            **{name: tmp_path / name for name in names},
        )
