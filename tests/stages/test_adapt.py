"""Stage adapt: contrastive adaptation of the vision tower, its account, resumption, and its use by stage train."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from tests.factories import SIDE, image_row, options, png_bytes, tiny_training
from tests.factories.siglip import published_siglip

from refrad.dataset.shard_io import read_rows, read_source_fingerprints, write_shard
from refrad.dicom.windows import MEDGEMMA_WINDOWS
from refrad.model.siglip import load_siglip
from refrad.stages import adapt, train
from refrad.workflow.fingerprint import Fingerprint


def tiny_adaptation(**changes):
    """Options of the stage for six steps of eight pairs in float32 on one CPU, with changes."""
    small = {
        "name": "x",
        "steps": 6,
        "leaks": {"correlation": 1.0},
        "batch": 8,
        "compute_dtype": "float32",
        "threads": 1,
    }
    small |= {"checkpoints": {"steps": 2, "seconds": None, "weights": "last"}}
    return options("adapt", **(small | changes))


@pytest.fixture(scope="module")
def telling(tmp_path_factory, schema):
    """images.parquet whose captions tell where the only square is: left or right, above or below. Two captions each place."""
    path = tmp_path_factory.mktemp("telling") / "images.parquet"
    rng = np.random.default_rng(0)
    rows = []
    for number, split in enumerate(["train"] * 48 + ["validation"] * 16 + ["test"] * 4):
        row = image_row(number, split, rng)
        place = number % 4
        x, y = rng.integers(2, 8, 2) + 32 * np.array([place % 2, place // 2])
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        picture[y : y + 20, x : x + 20] = 128 if split == "test" else 255
        words = f"Liver {'lower' if place // 2 else 'upper'} {'right' if place % 2 else 'left'}"
        caption = row["captions"][0] | {"entities": row["captions"][0]["entities"][:1]}
        row["captions"] = [caption | {"text": f"{words}."}, caption | {"text": f"{words}, normal."}]
        rows.append(row | {"patient": f"{split} {number}", "image": {"bytes": png_bytes(picture), "path": None}})
    write_shard(path, rows, schema, Fingerprint("shards", 1, {"windows": MEDGEMMA_WINDOWS, "image_size": SIDE}, {}))
    return path


@pytest.fixture(scope="module")
def run(telling, tmp_path_factory):
    def run(folder=None, images=telling, **changes):
        folder = folder or tmp_path_factory.mktemp("adapt")
        paths = {"checkpoint": folder / "x", "work": folder / "x.work", "metrics": folder / "x.metrics.json"}
        fingerprint = Fingerprint("adapt", adapt.VERSION, tiny_adaptation(**changes), {})
        adapt.run(images=[images], fingerprint=fingerprint, **paths)
        return paths["checkpoint"], json.loads(paths["metrics"].read_text())

    return run


@pytest.fixture(scope="module")
def adapted(run):
    return run()


def test_checkpoint_is_a_siglip_with_its_tokenizer(adapted):
    from transformers import AutoTokenizer, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    assert SiglipModel.from_pretrained(adapted[0]).config.vision_config.image_size == 64
    assert AutoTokenizer.from_pretrained(adapted[0])("Liver")["input_ids"]
    assert SiglipImageProcessorPil.from_pretrained(adapted[0]).size["height"] == 64


def test_account_has_the_pairs_and_no_test_patient(adapted):
    account = json.loads((adapted[0] / "training.json").read_text())
    assert account["pairs"] == {"train": 96, "validation": 32}
    after = account["validation_retrieval"]["after"]
    assert (after["images"], after["captions"]) == (16, 8)
    assert after["image to caption"]["recall@1"]["chance"] == pytest.approx(2 / 8)
    assert after["caption to image"]["recall@1"]["chance"] == pytest.approx(4 / 16)
    assert adapted[1]["flow"] == {"taken": 68, "used": 64, "aside": {"test_patient": 4}}
    assert adapted[1]["made"] == {"steps": 6, "pairs seen": 48, "captions cut to 64 tokens": 0}


def test_interrupted_run_resumes_with_the_same_weights(adapted, run, tmp_path, monkeypatch):
    plain, calls = adapt.contrast_loss, []

    def breaking(model, batch, compute_dtype):
        calls.extend([None] * torch.is_grad_enabled())  # of the steps, not of the validation between them
        if len(calls) == 4:
            raise KeyboardInterrupt
        return plain(model, batch, compute_dtype)

    with monkeypatch.context() as patch:
        patch.setattr(adapt, "contrast_loss", breaking)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert list((tmp_path / "x.work").glob("step-*.pt"))
    again, _ = run(tmp_path)
    assert json.loads((again / "training.json").read_text())["resumed"] == 1
    assert (again / "model.safetensors").read_bytes() == (adapted[0] / "model.safetensors").read_bytes()
    assert not (tmp_path / "x.work").exists()


def test_retrieval_before_is_measured_once_also_after_a_resume(adapted, run, tmp_path, monkeypatch):
    measured, plain = [], adapt.measure_retrieval

    def counting(model, pairs, most, compute_dtype):
        measured.append(compute_dtype)
        return plain(model, pairs, most, compute_dtype)

    def breaking(model, batch, compute_dtype):  # noqa: ARG001 - the names of the loss
        raise KeyboardInterrupt

    monkeypatch.setattr(adapt, "measure_retrieval", counting)
    with monkeypatch.context() as patch:
        patch.setattr(adapt, "contrast_loss", breaking)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    checkpoint, _ = run(tmp_path)
    assert measured == ["float32", "float32"]  # before, and after
    account, undisturbed = (json.loads((folder / "training.json").read_text()) for folder in (checkpoint, adapted[0]))
    assert account["validation_retrieval"] == undisturbed["validation_retrieval"]


@pytest.fixture
def bilingual(telling, schema, tmp_path):
    """The same images; the second caption of each is German, and every third image has German captions only."""
    rows = pl.read_parquet(telling).to_dicts()
    for number, row in enumerate(rows):
        english, german = row["captions"]
        german |= {"language": "de", "text": f"Leber, {german['text']}"}
        row["captions"] = [german] if number % 3 == 0 else [english, german]
    path = tmp_path / "bilingual.parquet"
    write_shard(path, rows, schema, Fingerprint("shards", 1, {"windows": MEDGEMMA_WINDOWS, "image_size": SIDE}, {}))
    return path


# Of the 48 training images 16 are German only (0, 3, ... 45), of the 16 validation images six (48, 51, ... 63).
@pytest.mark.parametrize(
    ("language", "pairs", "dropped"),
    [("en", (32, 10), 22), ("de", (48, 16), 0), ("all", (80, 26), 0)],
)
def test_captions_of_another_language_are_left_out_and_counted(run, bilingual, language, pairs, dropped):
    checkpoint, metrics = run(images=bilingual, language=language, steps=1)
    account = json.loads((checkpoint / "training.json").read_text())
    assert account["pairs"] == dict(zip(("train", "validation"), pairs, strict=True))
    aside = {"test_patient": 4} | ({"no_caption_in_language": dropped} if dropped else {})
    assert metrics["flow"] == {"taken": 68, "used": 64 - dropped, "aside": aside}


def test_language_without_a_caption_is_refused(run):
    with pytest.raises(
        ValueError, match=r"adapt\.language is de, but no training image has a caption in it: .* or to all$"
    ):
        run(language="de")


def test_published_siglip_is_adapted_and_saved_as_it_came(run, tmp_path):
    texts = [f"Liver {height} {side}, normal." for height in ("upper", "lower") for side in ("left", "right")]
    folder = published_siglip(tmp_path, texts, 64)
    before = load_file(folder / "model.safetensors")
    checkpoint, metrics = run(model=str(folder), steps=3, language="en")
    tokenizer, model = load_siglip(checkpoint)
    assert type(tokenizer).__name__ == "SiglipTokenizer"
    after = model.state_dict()
    assert after.keys() >= before.keys()
    assert not after["vision_model.embeddings.patch_embedding.weight"].equal(
        before["vision_model.embeddings.patch_embedding.weight"]
    )
    assert metrics["made"]["steps"] == 3


def test_training_starts_from_the_adapted_tower(adapted, telling, root, tmp_path):
    schema = root / "workflow" / "anatomy" / "classes.yaml"
    paths = {"checkpoint": tmp_path / "x", "work": tmp_path / "w", "metrics": tmp_path / "m.json", "schema": schema}
    fingerprint = Fingerprint(
        "train",
        train.VERSION,
        tiny_training(steps=2, tower_pretraining_steps=0, trained=["language", "embeddings", "projector"]),
        {},
    )
    train.run(images=[telling], tower=adapted[0], fingerprint=fingerprint, **paths)
    tower = load_file(adapted[0] / "model.safetensors")
    trained = load_file(tmp_path / "x" / "model.safetensors")
    of_tower = {name.split("vision_tower.")[1]: value for name, value in trained.items() if "vision_tower." in name}
    assert len(of_tower) > 40
    for name, value in of_tower.items():
        assert value.equal(tower[f"vision_model.{name.removeprefix('vision_model.')}"]), name
    account = json.loads((tmp_path / "x" / "training.json").read_text())
    assert json.loads(account["tower"])["options"]["learning_rate"] == 1e-3


def test_images_also_in_test_are_dropped_or_stop_the_run(run):
    _, metrics = run(steps=1, leaks={"action": "drop", "correlation": 0.01})
    assert metrics["flow"]["aside"]["also_in_test"] > 0
    with pytest.raises(ValueError, match=r"set adapt\.leaks\.action to drop"):
        run(leaks={"action": "stop", "correlation": 0.01})


def test_zero_steps_are_refused(run):
    with pytest.raises(ValueError, match=r"adapt\.steps is 0, which means no adaptation"):
        run(steps=0)


def test_image_size_must_be_that_of_the_model(adapted, run):
    with pytest.raises(ValueError, match="takes images of 64 px"):
        run(model=str(adapted[0]), image_size=224)


def test_adapted_tower_has_the_terms_of_its_sets(telling, schema, run, tmp_path):
    rows = [row | {"public_set": "ct-rate"} for row in read_rows([telling])]
    write_shard(tmp_path / "images.parquet", rows, schema, read_source_fingerprints(telling)["shards"])
    first, _ = run(images=tmp_path / "images.parquet", steps=1)
    second, _ = run(model=str(first), steps=1)
    for folder in (first, second):
        assert json.loads((folder / "training.json").read_text())["public_sets"] == {"ct-rate": 64}  # without test
        assert "CT-RATE](https://" in (folder / "README.md").read_text()


def test_adaptation_continues_from_a_folder_with_recomputation(adapted, run):
    again, _ = run(model=str(adapted[0]), gradient_checkpointing=True, steps=1)
    assert (again / "model.safetensors").exists() and not (again / "README.md").exists()


@pytest.mark.slow
def test_retrieval_improves_by_adaptation(run):
    checkpoint, _ = run(steps=150, batch=16)
    after = json.loads((checkpoint / "training.json").read_text())["validation_retrieval"]["after"]
    for way in ("image to caption", "caption to image"):
        assert after[way]["recall@1"]["found"] > after[way]["recall@1"]["chance"] + 0.3, after
