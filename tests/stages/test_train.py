"""Stage train: checkpoints, seeds, frozen parts, public benchmarks and leaks."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from tests.factories import image_row, tiny_training
from tests.factories.processes import train_in_two_processes
from transformers.models.paligemma.modeling_paligemma import PaliGemmaModel

from refrad.core.manifests import sealed_files
from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import read_image_table
from refrad.dataset.shard_io import read_rows, write_shard
from refrad.model.collate import collate
from refrad.model.processor import load_processor
from refrad.model.radgrounder import load_model
from refrad.stages import train
from refrad.training.distributed import SINGLE_PROCESS
from refrad.training.objective import batch_loss
from refrad.training.samples import SampleOptions, Samples, surface_forms
from refrad.training.validation import Validation, collate_validation, draw_validation
from refrad.workflow.fingerprint import Fingerprint


@pytest.fixture(scope="module")
def run(images, root, tmp_path_factory):
    def run(tested=None, shards=(images,), **options):
        folder = tmp_path_factory.mktemp("train")
        paths = {"checkpoint": folder / "x", "work": folder / "x.work", "metrics": folder / "x.metrics.json"}
        schema = root / "workflow" / "anatomy" / "classes.yaml"
        train.run(
            images=list(shards),
            schema=schema,
            public=[Path(path) for path in options.get("public", {}).get("files", ())],
            tested=tested,
            fingerprint=Fingerprint("train", train.VERSION, tiny_training(**options), {}),
            **paths,
        )
        return paths["checkpoint"], json.loads(paths["metrics"].read_text())

    return run


@pytest.fixture(scope="module")
def trained(run):
    return run()


def test_checkpoint_is_a_paligemma_with_its_processor(trained):
    from transformers import AutoConfig, AutoTokenizer

    checkpoint, _ = trained
    assert AutoConfig.from_pretrained(checkpoint).model_type == "paligemma"
    assert "</p>" in AutoTokenizer.from_pretrained(checkpoint).get_vocab()


def test_account_has_steps_options_and_counts(trained):
    checkpoint, metrics = trained
    account = json.loads((checkpoint / "training.json").read_text())
    assert account["steps"] == 3 and account["curve"][-1]["step"] == 3
    assert json.loads(account["fingerprint"])["options"]["learning_rate"] == 1e-3
    assert metrics["flow"] == {"taken": 34, "used": 28, "aside": {"test_patient": 6}}
    assert metrics["seconds"]["total"] > metrics["seconds"]["training"]


def test_checkpoint_has_the_log_of_each_step(trained):
    checkpoint, _ = trained
    lines = [json.loads(line) for line in (checkpoint / "logs" / "steps.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    account = json.loads((checkpoint / "training.json").read_text())
    assert lines[-1]["validation"]["loss"] == pytest.approx(account["curve"][-1]["validation_loss"], rel=1e-5)
    assert all(line["tokens_per_second"] > line["samples_per_second"] > 0 for line in lines)
    assert set().union(*(line["task"] for line in lines)) == set(account["tasks"])
    assert len(list((checkpoint / "logs" / "tensorboard").glob("events.out.tfevents.*"))) == 1
    assert checkpoint / "logs" / "steps.jsonl" in sealed_files(checkpoint / "digests.json")


def test_padded_lengths_and_recomputed_activations_train_to_the_same_loss(trained, run):
    checkpoint, _ = run(length_multiple=32, gradient_checkpointing=True)
    losses = [
        json.loads((folder / "training.json").read_text())["curve"][-1]["loss"] for folder in (trained[0], checkpoint)
    ]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)


@pytest.mark.parametrize(
    ("tf32", "gpus", "precision"), [(True, 1, "high"), (False, 1, "highest"), (True, 0, "highest")]
)
def test_tf32_is_for_gpus_by_option(run, monkeypatch, tf32, gpus, precision):
    monkeypatch.setattr(train, "join_processes", lambda _: SINGLE_PROCESS)
    chosen = []
    monkeypatch.setattr(torch, "set_float32_matmul_precision", chosen.append)
    checkpoint, _ = run(tf32=tf32, gpus=gpus, steps=1)
    assert chosen == [precision]
    assert json.loads(json.loads((checkpoint / "training.json").read_text())["fingerprint"])["options"]["tf32"] is tf32
    assert ("TF32" in (checkpoint / "README.md").read_text()) is tf32


def test_training_refuses_a_transformers_that_ignores_images(run, monkeypatch):
    forward = PaliGemmaModel.forward
    without_image = lambda model, mm_encoder_outputs=None, **rest: forward(model, **rest)  # noqa: ARG005, E731
    monkeypatch.setattr(PaliGemmaModel, "forward", without_image)
    with pytest.raises(ValueError, match="ignores the image of a PaliGemma"):
        run()


def test_training_continues_from_a_checkpoint(trained, run):
    again, _ = run(model=str(trained[0]))
    assert (again / "model.safetensors").exists()


PARTS = {  # pattern of the names of the weights of each part; the output embedding is that of the input
    "language": r"language_model\.model\.(layers|norm)",
    "attention": r"language_model\..*self_attn",
    "embeddings": r"embed_tokens",
    "tokens": r"embed_tokens",
    "projector": r"projector",
    "tower": r"vision_tower",
}


@pytest.mark.parametrize("part", PARTS)
def test_trained_part_changes_and_all_else_keeps_its_bits(trained, run, part):
    again, _ = run(model=str(trained[0]), trained=[part])
    before, after = (load_file(folder / "model.safetensors") for folder in (trained[0], again))
    assert before.keys() == after.keys()
    own = {name for name in before if re.search(PARTS[part], name)}
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed and changed <= own
    if part != "tower":  # where the bias of keys has no gradient
        assert changed == own
    account = json.loads((again / "training.json").read_text())
    if part != "tokens":
        assert account["trained"]["parameters"] == sum(before[name].numel() for name in own)
    assert account["trained"]["parts"] == [part] and account["trained"]["lora"] is None
    assert f"weights: the {part} |" in (again / "README.md").read_text()


def test_trained_tokens_are_those_of_boxes_and_masks(trained, run):
    again, _ = run(model=str(trained[0]), trained=["tokens"])
    before, after = (load_file(folder / "model.safetensors") for folder in (trained[0], again))
    name = next(name for name in before if "embed_tokens" in name)
    changed = {number for number in range(len(before[name])) if not before[name][number].equal(after[name][number])}
    vocabulary = load_processor(again).tokenizer.get_vocab()
    grounding = {
        number
        for token, number in vocabulary.items()
        if re.fullmatch(r"<loc\d{4}>|<seg\d{3}>|</?seg>|<p bbox=|</p>| id=", token)
    }
    assert len(grounding) == 1024 + 128 + 5 and changed == grounding
    width = before[name].shape[1]
    assert json.loads((again / "training.json").read_text())["trained"]["parameters"] == 1157 * width


@pytest.fixture(scope="module")
def adapted(trained, run):
    lora = {"rank": 4, "dropout": 0.1, "targets": ["q_proj", "v_proj", "down_proj"]}
    return run(model=str(trained[0]), trained=["tokens", "projector"], lora=lora, steps=6)[0]


def test_adapters_are_merged_into_their_targets_alone(trained, adapted):
    before, after = (load_file(folder / "model.safetensors") for folder in (trained[0], adapted))
    changed = {name for name in before if not before[name].equal(after[name])}
    language = {name for name in changed if "language_model.model.layers" in name}
    assert {name.split(".")[-2] for name in language} == {"q_proj", "v_proj", "down_proj"} and len(language) == 6
    assert all(re.search("embed_tokens|projector", name) for name in changed - language)
    for name in language:  # a product of rank 4
        assert torch.linalg.matrix_rank(after[name] - before[name], atol=1e-5) <= 4


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_adapter_folder_on_the_initial_model_is_the_checkpoint(trained, adapted, images, schema):
    from peft import PeftModel

    processor = load_processor(adapted)
    rows = TableRows(read_image_table([images], {"train"}))
    names = surface_forms(rows.classes.meanings, schema)
    samples = Samples(rows, names, SampleOptions(64, "yxyx", tiny_training()["tasks"], 0, None))
    batch = collate(processor, [samples[0, index] for index in range(4)])
    merged, initial = (load_model(folder, processor).eval() for folder in (adapted, trained[0]))
    with torch.no_grad():
        expected, former = merged(**batch).logits, initial(**batch).logits
        loaded = PeftModel.from_pretrained(initial, adapted / "adapter").eval()(**batch).logits
    assert (former - expected).abs().max() > 0.01
    assert torch.allclose(loaded, expected, atol=1e-5)


def test_account_and_card_name_the_adapters(adapted):
    account = json.loads((adapted / "training.json").read_text())
    assert account["trained"]["lora"] == {
        "rank": 4,
        "alpha": 32,
        "dropout": 0.1,
        "targets": ["q_proj", "v_proj", "down_proj"],
    }
    width, expansion, layers = 128, 384, 2  # q and v: width to width; down: expansion to width
    adapters = layers * 4 * (2 * (width + width) + expansion + width)
    projector = width * width + width
    assert account["trained"]["parameters"] == adapters + projector + 1157 * width
    card = (adapted / "README.md").read_text()
    assert (
        "the tokens; the projector; adapters (LoRA, rank 4, alpha 32, dropout 0.1) of `q_proj`, `v_proj`, `down_proj`"
        in card
    )
    assert "train0" not in (adapted / "adapter" / "adapter_config.json").read_text()  # no path of the site
    assert not (adapted / "adapter" / "README.md").exists()  # of public sets, which it has not seen


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        (
            {"rank": 4, "targets": ["qkv"]},
            "train.lora.targets: no matrix of the language model is called qkv; it has q_proj",
        ),
        (
            {"rank": 4, "targets": ["q_proj", "out_proj"]},
            "called out_proj",
        ),  # the tower has it, the language model has not
        ({"rank": 4, "targets": ["proj"]}, "called proj"),
        ({"rank": 4, "targets": ["lm_head"]}, "called lm_head"),
        (
            {"rank": 128, "targets": ["q_proj"]},
            "train.lora.rank is 128: it must be below the smallest side of a target, 128",
        ),
    ],
)
def test_adapter_that_fits_no_matrix_is_refused(trained, run, lora, message):
    with pytest.raises(ValueError, match=message):
        run(model=str(trained[0]), trained=["tokens"], lora=lora)


def test_weights_are_determined_by_the_seed(trained, run):
    again, _ = run()
    assert (again / "model.safetensors").read_bytes() == (trained[0] / "model.safetensors").read_bytes()


def test_folder_without_a_model_stops_with_the_remedy(run, tmp_path):
    with pytest.raises(ValueError, match="name a folder with a PaliGemma 2 or a Qwen3-VL"):
        run(model=str(tmp_path))


def test_image_size_must_be_that_of_the_model(trained, run):
    with pytest.raises(ValueError, match="takes images of 64 px"):
        run(model=str(trained[0]), image_size=224)


def test_training_without_training_patients_stops(images, run, tmp_path):
    frame = pl.read_parquet(images)
    frame.filter(pl.col("split") != "train").write_parquet(tmp_path / "images.parquet")
    with pytest.raises(ValueError, match="no image of a training patient"):
        run(shards=[tmp_path / "images.parquet"])


@pytest.mark.slow
def test_two_processes_train_as_one(run, images, root, tmp_path):
    options = tiny_training(grad_accumulation=2, tower_pretraining_steps=0, steps=4, sharding="fsdp2")
    alone, told = run(**options)
    together = train_in_two_processes(images, root / "workflow" / "anatomy" / "classes.yaml", tmp_path, options)
    one, other = (load_file(folder / "model.safetensors") for folder in (alone, together))
    for name, value in one.items():
        assert torch.allclose(value, other[name], atol=2e-5), name
    assert json.loads((tmp_path / "m.json").read_text())["tables"]["task"] == told["tables"]["task"]
    first, second = (json.loads((f / "training.json").read_text())["curve"][-1] for f in (alone, together))
    assert second["validation_loss"] == pytest.approx(first["validation_loss"], abs=1e-3)


def test_segmentation_variant_has_a_validation_dice(run):
    checkpoint, _ = run(variant="segmentation", steps=2, tower_pretraining_steps=0)
    account = json.loads((checkpoint / "training.json").read_text())
    assert 0 <= account["validation_dice"] <= 1
    assert (checkpoint / "mask_head.safetensors").is_file()


@pytest.fixture(scope="module")
def slake(tmp_path_factory, schema):
    """A benchmark of three training images and two test images, of which one is a site's training image."""
    path = tmp_path_factory.mktemp("public") / "slake.parquet"
    rng, again = np.random.default_rng(1), np.random.default_rng(0)
    rows = [image_row(number, split, rng) for number, split in enumerate(["train"] * 3 + ["test"])]
    rows.append(image_row(0, "test", again) | {"image_id": "i0099"})
    rows = [
        row
        | {"captions": [], "structures": [], "image_id": f"slake:{row['image_id']}"}
        | {"patient": row["image_id"], "questions": [row["questions"][0] | {"question": f"What is {number}?"}]}
        for number, row in enumerate(rows)
    ]
    write_shard(path, rows, schema, Fingerprint("public", 1, {}, {}))
    return path


def test_benchmark_questions_are_drawn_by_their_share(run, slake):
    checkpoint, metrics = run(public={"files": [str(slake)], "share": 0.5}, steps=30, tower_pretraining_steps=0)
    account = json.loads((checkpoint / "training.json").read_text())
    assert account["public"] == {"slake": 3}  # of five: two are for testing
    tasks = metrics["tables"]["task"]
    assert sum(tasks.values()) == 120 and 40 <= tasks["slake"] <= 80
    assert "slake" in (checkpoint / "README.md").read_text()


def test_test_images_of_a_benchmark_are_not_trained_on(run, slake):
    checkpoint, metrics = run(public={"files": [str(slake)], "share": 0.5}, steps=1, tower_pretraining_steps=0)
    assert metrics["flow"] == {"taken": 34, "used": 27, "aside": {"also_in_test": 1, "test_patient": 6}}
    assert json.loads((checkpoint / "training.json").read_text())["leaks"]["found"] == 1


def test_images_of_the_evaluation_are_not_trained_on(run, slake):
    _, metrics = run(tested=[slake], steps=1, tower_pretraining_steps=0)
    assert metrics["flow"]["aside"]["also_in_test"] == 1 and "slake" not in metrics["tables"]["task"]


def test_leak_can_stop_the_run(run, slake):
    with pytest.raises(
        ValueError, match=r"1 test images are also images of the training .* set train.leaks.action to drop"
    ):
        run(tested=[slake], leaks={"action": "stop", "correlation": 0.75})


def test_benchmark_without_training_questions_is_refused(run, slake, tmp_path, schema):
    rows = [row for row in read_rows([slake]) if row["split"] == "test"]
    write_shard(tmp_path / "test.parquet", rows, schema, Fingerprint("public", 1, {}, {}))
    with pytest.raises(ValueError, match=r"train.public: no training question"):
        run(public={"files": [str(tmp_path / "test.parquet")], "share": 0.5})


def test_best_weights_on_validation_patients_are_saved(run, images, schema):
    """A learning rate far too high spoils the weights after the first steps; the last ones are worse."""
    options = {
        "learning_rate": 0.05,
        "seed": 2,
        "steps": 8,
        "tower_pretraining_steps": 0,
        "warmup_ratio": 0.0,
        "soft_label_sigma": 0.0,
    }
    kept, losses = {}, {}
    for use in ("best", "last"):
        kept[use], _ = run(**options, checkpoints={"weights": use})
        processor = load_processor(kept[use])
        model = load_model(kept[use], processor).eval()
        rows = {split: read_image_table([images], {split}) for split in ("train", "validation")}
        names = surface_forms(TableRows(rows["train"]).classes.meanings, schema)
        choice = SampleOptions(64, "yxyx", tiny_training()["tasks"], options["seed"], None)
        held_out, shares = Samples(TableRows(rows["validation"]), names, choice), tiny_training()["tasks"]
        keys = draw_validation(held_out, shares, 256, 4)
        validation = Validation(collate_validation(held_out, processor, keys, 4), shares)
        losses[use] = validation.measure(partial(batch_loss, model)).loss
    account = json.loads((kept["best"] / "training.json").read_text())
    curve = {point["step"]: point["validation_loss"] for point in account["curve"]}
    assert (
        account["best_step"] == min(curve, key=curve.get) < 8
        and account["weights"] == f"best: step {account['best_step']}"
    )
    assert losses["best"] == pytest.approx(min(curve.values()), rel=1e-3) and losses["best"] < losses["last"]


@pytest.mark.parametrize(("metric", "variant"), [("iou", "detection"), ("vqa", "detection"), ("dice", "segmentation")])
def test_best_weights_by_a_metric_are_recorded(run, metric, variant):
    checkpoint, metrics = run(
        variant=variant, checkpoints={"metric": metric, "validation_samples": 12}, tower_pretraining_steps=0, steps=3
    )
    account = json.loads((checkpoint / "training.json").read_text())
    scores = {point["step"]: point["score"] for point in account["curve"]}
    assert all(0 <= score <= 1 for score in scores.values())
    assert account["best_step"] == max(scores, key=scores.get)  # the first of equals
    # 12 samples by the shares, at least a batch of 4; there are 4 images of validation patients, each once a task
    assert account["validation"] == dict.fromkeys(("locate", "detect", "vqa", "caption"), 4)
    assert metrics["tables"]["validation samples"] == account["validation"]
    assert account["curve"][-1]["task_losses"].keys() == account["validation"].keys()
    line = json.loads((checkpoint / "logs" / "steps.jsonl").read_text().splitlines()[-1])
    assert line["validation"]["score"] == pytest.approx(scores[3], rel=1e-5)


def test_metric_without_validation_samples_is_refused(images, run, tmp_path, schema):
    rows = [row | {"questions": []} if row["split"] == "validation" else row for row in read_rows([images])]
    write_shard(tmp_path / "images.parquet", rows, schema, Fingerprint("shards", 1, {"image_size": 64}, {}))
    with pytest.raises(
        ValueError, match=r"checkpoints.metric is vqa, but no image of a validation patient serves task vqa"
    ):
        run(shards=[tmp_path / "images.parquet"], checkpoints={"metric": "vqa"})


@pytest.mark.parametrize("variant", ["detection", "segmentation"])
def test_padded_rotated_and_packed_training_is_documented(run, variant):
    augment = {"rotation": 15.0, "contrast": [0.8, 1.2], "gamma_probability": 0.3}
    checkpoint, metrics = run(variant=variant, resize="pad", augment=augment, pack_tokens=600)
    assert metrics["made"]["steps"] == 3
    options = Fingerprint.parse(json.loads((checkpoint / "training.json").read_text())["fingerprint"]).options
    assert (options["resize"], options["pack_tokens"], options["augment"]["rotation"]) == ("pad", 600, 15.0)
    assert "64 x 64 px (proportions kept, padded with black)" in (checkpoint / "README.md").read_text()


def test_model_card_has_the_terms_of_the_public_sets_trained_on(run, images, schema, tmp_path):
    sources = {"train": "ct-rate", "validation": "merlin", "test": "mr-rate"}
    rows = [row | {"public_set": sources[row["split"]]} for row in read_rows([images])]
    write_shard(tmp_path / "images.parquet", rows, schema, Fingerprint("shards", 6, {}, {}))
    checkpoint, _ = run(shards=[tmp_path / "images.parquet"], steps=1, tower_pretraining_steps=0)
    assert json.loads((checkpoint / "training.json").read_text())["public_sets"] == {"ct-rate": 24, "merlin": 4}
    card = (checkpoint / "README.md").read_text()
    assert "license: other\nlicense_name: terms of the training data of ct-rate, merlin\n" in card
    assert "CT-RATE](https://" in card and "24 images. images and reports and masks: CC-BY-NC-SA-4.0" in card
    assert "arXiv:2403.17834" in card and "MR-RATE" not in card


def test_weights_keep_the_terms_of_the_weights_that_they_start_from(run, images, schema, tmp_path):
    """A model trained on a set, and trained on with the site's own images alone, still has seen the set; so has its adapter."""
    rows = [row | {"public_set": "ct-rate"} for row in read_rows([images])]
    write_shard(tmp_path / "images.parquet", rows, schema, Fingerprint("shards", 6, {}, {}))
    first, _ = run(shards=[tmp_path / "images.parquet"], steps=1, tower_pretraining_steps=0)
    lora = {"rank": 4, "dropout": 0.1, "targets": ["q_proj"]}
    second, _ = run(model=str(first), steps=1, tower_pretraining_steps=0, trained=["projector"], lora=lora)
    assert json.loads((second / "training.json").read_text())["public_sets"] == {"ct-rate": 28}
    for card in (second / "README.md", second / "adapter" / "README.md"):
        text = card.read_text()
        assert text.startswith("---\n") and "terms of the training data of ct-rate\n" in text
        assert "CT-RATE](https://" in text and "gated" in text


def test_model_card_without_public_sets_has_no_section_about_them(trained):
    checkpoint, _ = trained
    assert "ublic sets" not in (checkpoint / "README.md").read_text()


@pytest.mark.parametrize("split", ["validation", "test"])
def test_reports_made_from_masks_do_not_validate_or_test(run, images, schema, tmp_path, split):
    rows = [row | {"public_set": "abdomenatlas" if row["split"] == split else None} for row in read_rows([images])]
    write_shard(tmp_path / "images.parquet", rows, schema, Fingerprint("shards", 6, {}, {}))
    with pytest.raises(ValueError, match="images of abdomenatlas are in validation or test"):
        run(shards=[tmp_path / "images.parquet"])
