"""Stages train and evaluate, and the predictor, with a tiny Qwen3-VL as the base model."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.factories import fingerprint, tiny_training
from tests.factories.processes import train_in_process, train_in_two_processes
from tests.factories.qwen import tiny_qwen
from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration

from refrad.core.manifests import read_sealed
from refrad.inference.predictor import Predictor
from refrad.stages import evaluate

TEXTS = [
    "Locate: liver, spleen. Lokalisiere: Leber, Milz. Caption this image and detect keywords: Beschreibe dieses Bild",
    '[{"bbox_2d": [120, 245, 480, 611], "label": "liver", "class": 5}]',
] * 4
EVERYTHING = ["language", "embeddings", "projector", "tower"]
QWEN = {"coordinates": "xyxy", "soft_label_sigma": 0.0, "tower_pretraining_steps": 0, "image_size": 64}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_qwen(tmp_path_factory.mktemp("qwen"), TEXTS)


@pytest.fixture(scope="module")
def run(images, root, base, tmp_path_factory):
    def run(model=base, **options):
        folder = tmp_path_factory.mktemp("train")
        schema = root / "workflow" / "anatomy" / "classes.yaml"
        return train_in_process(images, schema, folder, tiny_training(model=str(model), **(QWEN | options)))

    return run


@pytest.fixture(scope="module")
def checkpoint(run):
    tasks = {"locate": 0.7, "detect": 0.1, "vqa": 0.1, "caption": 0.1}
    return run(steps=150, batch=8, learning_rate=3e-3, tasks=tasks, trained=EVERYTHING)


def test_loss_falls_and_the_account_names_the_base_model(checkpoint):
    account = json.loads((checkpoint / "training.json").read_text())
    assert account["curve"][-1]["loss"] < 0.5 * account["curve"][0]["loss"]
    assert account["base_model"]["type"] == "qwen3_vl" and account["base_model"]["image_size"] == 64
    card = (checkpoint / "README.md").read_text()
    assert "Qwen3-VL" in card and "Qwen3VLForConditionalGeneration" in card and "license: apache-2.0" in card
    assert "<loc" not in card and "bbox_2d" in card


def test_iou_can_choose_the_best_weights(run):
    """Its boxes are a JSON list, so an untrained answer has none: the score is 0, where no true box would be no score at all."""
    checkpoint = run(steps=1, checkpoints={"seconds": None, "metric": "iou", "validation_samples": 4})
    curve = json.loads((checkpoint / "training.json").read_text())["curve"]
    assert [(point["metric"], point["score"]) for point in curve] == [("iou", 0.0)]


def test_checkpoint_is_loaded_by_transformers(checkpoint):
    model = Qwen3VLForConditionalGeneration.from_pretrained(checkpoint)
    assert model.generation_config.do_sample is False
    assert "<|im_end|>" in AutoTokenizer.from_pretrained(checkpoint).get_vocab()


def test_predictor_reads_regions_in_image_pixels(checkpoint, tmp_path, monkeypatch):
    """A box of the answer, in thousandths of the square, is one of the image of 80 x 40 px."""
    from refrad.inference import predictor as module

    predictor = Predictor(checkpoint, "cpu", answer_tokens=60)
    assert predictor.side == 64
    Image.fromarray(np.zeros((40, 80), np.uint8)).save(tmp_path / "a.png")
    assert predictor.predict(tmp_path / "a.png", locate="liver").answer  # as it is trained
    answer = 'liver\n[{"bbox_2d": [250, 500, 750, 1000], "label": "liver", "class": 5}, {"bbox_2d": [9, 9], "label": "liver"}]'
    monkeypatch.setattr(module, "generate", lambda *_: [module.GeneratedText(answer, 30, False)])
    prediction = predictor.predict(tmp_path / "a.png", locate="liver")
    assert prediction.text == "liver" and prediction.damaged == ('{"bbox_2d": [9, 9], "label": "liver"}',)
    (region,) = prediction.regions
    assert region.box == (20.0, 20.0, 60.0, 40.0) and region.class_name == "liver"


@pytest.fixture(scope="module")
def evaluated(checkpoint, images, root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    tokens = {"locate": 70, "detect": 70, "caption": 20, "vqa": 10}
    evaluate.run(
        checkpoint=checkpoint,
        images=[images],
        schema=root / "workflow" / "anatomy" / "classes.yaml",
        scale=root / "workflow" / "prompts" / "score.yaml",
        store=folder / "answers",
        truth=folder / "truth.jsonl",
        predictions=folder / "predictions.jsonl",
        scores=folder / "scores.parquet",
        others=folder / "others",
        metrics=folder / "metrics.json",
        fingerprint=fingerprint("evaluate", samples=6, resamples=100, text_metrics=[], answer_tokens=tokens),
    )
    return folder


def test_evaluation_scores_the_boxes_of_the_answers(evaluated):
    metrics = read_sealed(evaluated / "metrics.json")
    assert 0 <= metrics["mean_iou"] <= 1 and metrics["variant"] == "detection"
    rows = [json.loads(line) for line in (evaluated / "predictions.jsonl").read_text().splitlines()]
    located = [row for row in rows if row["task"] == "locate"]
    assert located and any(row["entities"] for row in located)
    truth = [json.loads(line) for line in (evaluated / "truth.jsonl").read_text().splitlines()]
    assert not [row for row in truth if "<loc" in json.dumps(row)]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"variant": "segmentation"}, "train.variant is segmentation"),
        ({"coordinates": "yxyx"}, "train.coordinates is yxyx: .* set xyxy"),
        ({"pack_tokens": 512}, "train.pack_tokens is 512: .* set false"),
        ({"soft_label_sigma": 2.0}, "train.soft_label_sigma is 2: .* set 0"),
        ({"tower_pretraining_steps": 3}, "train.tower_pretraining_steps is 3"),
        ({"attention": "flex_attention"}, "train.attention is flex_attention: .* set eager"),
        ({"image_size": 100}, "takes multiples of 32 px"),
    ],
)
def test_option_that_is_not_supported_is_refused_before_training(run, option, message):
    with pytest.raises(ValueError, match=message) as error:
        run(**option)
    assert "\n" not in str(error.value)


def test_other_architectures_are_refused_with_those_that_are_known(run, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(ValueError, match=r"train.model: .* type llava; known types: paligemma, qwen3_vl"):
        run(model=tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_damaged_configuration_is_refused_in_one_line(run, tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"^train.model: [^\n]*$"):
        run(model=tmp_path)


def test_recomputed_activations_and_padded_lengths_give_the_same_loss(run):
    losses = []
    for options in ({}, {"gradient_checkpointing": True, "length_multiple": 32}):
        account = json.loads((run(**options) / "training.json").read_text())
        losses.append([point["loss"] for point in account["curve"]])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_frozen_tower_is_unchanged_and_the_mergers_are_trained(run, base):
    trained = Qwen3VLForConditionalGeneration.from_pretrained(
        run(trained=["language", "embeddings", "projector"])
    ).state_dict()
    start = Qwen3VLForConditionalGeneration.from_pretrained(base).state_dict()
    changed = {name for name, weight in trained.items() if not weight.equal(start[name])}
    assert not [name for name in changed if ".blocks." in name or "patch_embed" in name or "pos_embed" in name]
    assert [name for name in changed if ".visual.merger." in name] and [
        name for name in changed if "language_model" in name
    ]


def test_adapters_are_trained_and_merged_into_a_plain_model(run, base):
    """With LoRA of rank 2 only the adapted matrices of the language model differ; the vocabulary has no tokens for boxes to train."""
    lora = {"rank": 2, "alpha": 4, "dropout": 0.0, "targets": ["q_proj", "v_proj"]}
    checkpoint = run(lora=lora, trained=[], learning_rate=1e-2)
    trained = Qwen3VLForConditionalGeneration.from_pretrained(checkpoint).state_dict()
    start = Qwen3VLForConditionalGeneration.from_pretrained(base).state_dict()
    changed = {name for name, weight in trained.items() if not weight.equal(start[name])}
    layers = "model.language_model.layers"
    assert changed == {f"{layers}.{layer}.self_attn.{part}_proj.weight" for layer in (0, 1) for part in "qv"}
    assert json.loads((checkpoint / "training.json").read_text())["trained"]["lora"]["rank"] == 2


def test_tokens_for_boxes_are_not_trained_since_there_are_none(run):
    with pytest.raises(ValueError, match="leave tokens out"):
        run(trained=["tokens"])


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["ddp", "fsdp2"])
def test_two_processes_train_as_one(run, base, images, root, tmp_path, sharding):
    options = QWEN | {"grad_accumulation": 2, "steps": 4, "sharding": sharding, "trained": EVERYTHING}
    alone = run(**options)
    schema = root / "workflow" / "anatomy" / "classes.yaml"
    together = train_in_two_processes(images, schema, tmp_path, tiny_training(model=str(base), **options))
    first, second = (load_file(folder / "model.safetensors") for folder in (alone, together))
    for name, value in first.items():
        assert torch.allclose(value, second[name], atol=2e-5), name
