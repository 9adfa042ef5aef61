"""Trained weights: what is trained, merged and resumed with adapters and parts."""

import shutil

import pytest
import torch
from tests.factories import options
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

from refrad.config import TrainOptions
from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import read_image_table
from refrad.model.collate import collate
from refrad.model.packing import pack
from refrad.model.processor import GROUNDING_TOKENS
from refrad.model.radgrounder import add_head, tiny_model
from refrad.training.checkpoint import Checkpoints
from refrad.training.objective import batch_loss
from refrad.training.reference_models import PALIGEMMA2_3B
from refrad.training.samples import SampleOptions, Samples, surface_forms
from refrad.training.step import train
from refrad.training.train_config import TrainConfig
from refrad.training.trained_weights import TrainedWeights, grounding_token_ids
from refrad.training.validation import Validation, collate_validation, draw_validation

SHARES = {"locate": 1.0, "detect": 0.0, "vqa": 0.0}
LORA = {"rank": 4, "alpha": 8, "dropout": 0.0, "targets": ["q_proj", "o_proj", "up_proj"]}


def choice(**changes):
    return TrainOptions(
        **options("train", model="/a/folder", **{"trained": ["tokens", "projector"], "lora": LORA, **changes})
    )


def prepared(processor, masks=False, **changes):
    model = tiny_model(processor, 0)
    if masks:
        add_head(model, processor, 0)
    return model, TrainedWeights(model, processor, choice(**changes))


def disturb(model):
    """Give all trained weights other values, adapters that begin as zero too."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn(weight.shape, generator=generator)


@pytest.fixture(scope="module")
def samples(images, schema):
    rows = TableRows(read_image_table([images], {"train"}))
    names = surface_forms(rows.classes.meanings, schema)
    return Samples(rows, names, SampleOptions(64, "yxyx", SHARES, 0, augment=None))


@pytest.fixture(scope="module")
def validation(samples, processor):
    return Validation(collate_validation(samples, processor, draw_validation(samples, SHARES, 8, 4), 4), SHARES)


@pytest.fixture
def batch(samples, processor):
    return collate(processor, [samples[0, index] for index in range(4)])


def test_new_adapters_change_nothing(processor, batch):
    plain, (model, _) = tiny_model(processor, 0), prepared(processor)
    with torch.no_grad():
        assert torch.allclose(model.eval()(**batch).logits, plain.eval()(**batch).logits, atol=1e-6)


def test_trained_numbers_are_counted_by_hand(processor):
    _, trained = prepared(processor)
    width, expansion, layers, rank = 128, 384, 2, 4
    adapters = layers * rank * (2 * (width + width) + width + expansion)
    assert trained.count == adapters + (width * width + width) + len(grounding_token_ids(processor)) * width


@pytest.mark.parametrize("parts", [["tokens", "projector"], ["embeddings"], ["tower"], []])
def test_merged_model_has_the_logits_and_names_of_a_plain_one(processor, batch, parts):
    plain = tiny_model(processor, 0).eval()
    names, stock = set(plain.state_dict()), plain(**batch).logits
    model, trained = prepared(processor, trained=parts)
    disturb(model)
    model.eval()
    with torch.no_grad():
        before = model(**batch).logits
        trained.merge()
        after = model(**batch).logits
    assert torch.allclose(before, after, atol=1e-5) and not torch.allclose(before, stock, atol=0.1)
    assert set(model.state_dict()) == names and type(model.lm_head) is torch.nn.Linear
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_token_rows_get_the_gradient_that_the_whole_embedding_would(processor, batch):
    whole = tiny_model(processor, 0)
    batch_loss(whole, batch).backward()
    gradient = whole.get_input_embeddings().weight.grad
    model, trained = prepared(processor, trained=["tokens"], lora=None)
    batch_loss(model, batch).backward()
    (rows,) = (weight for weight in model.parameters() if weight.requires_grad)
    assert torch.allclose(rows.grad, gradient[trained.tokens], atol=1e-6)
    assert gradient[trained.tokens].abs().sum() > 0


def test_packed_rows_have_the_gradients_of_separate_ones(processor, batch):
    gradients = []
    for tensors in (batch, pack(batch, 600)):
        model, _ = prepared(processor)
        disturb(model)
        batch_loss(model, tensors).backward()
        gradients.append([weight.grad for weight in model.parameters() if weight.requires_grad])
    for separate, packed in zip(*gradients, strict=True):
        assert torch.allclose(separate, packed, atol=1e-5)


def test_recomputed_activations_have_the_same_gradients_with_dropout(processor, batch):
    gradients = []
    for is_recomputed in (False, True):
        model, _ = prepared(processor, lora=LORA | {"dropout": 0.3})
        disturb(model)
        model.train()
        if is_recomputed:
            model.activation_checkpointing_enable()
        torch.manual_seed(0)
        batch_loss(model, batch).backward()
        gradients.append([weight.grad for weight in model.parameters() if weight.requires_grad])
    for plain, recomputed in zip(*gradients, strict=True):
        assert torch.allclose(plain, recomputed, atol=1e-6)


def test_frozen_matrices_in_bfloat16_train_float32_adapters(processor, batch):
    model, trained = prepared(processor, frozen_dtype="bfloat16", compute_dtype="bfloat16")
    full, _ = prepared(processor, compute_dtype="bfloat16")
    for name, weight in model.named_parameters():
        is_matrix = weight.ndim == 2 and "position" not in name
        assert weight.dtype == (torch.bfloat16 if is_matrix and not weight.requires_grad else torch.float32), name
    losses = [batch_loss(each, batch, compute_dtype="bfloat16") for each in (model, full)]
    losses[0].backward()
    assert losses[0].dtype == torch.float32 and losses[0].item() == pytest.approx(losses[1].item(), abs=0.05)
    assert all(weight.grad is not None for weight in model.parameters() if weight.requires_grad)
    frozen = {name: value.float() for name, value in model.state_dict().items() if "base_layer" in name}
    trained.merge()
    merged = model.state_dict()
    assert frozen and all(value.equal(merged[name.replace(".base_layer", "")]) for name, value in frozen.items())


RUNS = {
    "adamw": {},
    "adafactor": {"optimizer": "adafactor"},
    "bfloat16": {"compute_dtype": "bfloat16"},
}


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("run", RUNS)
def test_resumed_training_has_the_same_bits_and_frozen_weights_keep_theirs(
    samples, validation, processor, tmp_path, run, masks
):
    """Dropout is on: it must not depend on how far torch's random numbers were used before the resume."""
    changes = {"lora": LORA | {"dropout": 0.2}} | (
        {"frozen_dtype": "bfloat16", **RUNS[run]} if run == "bfloat16" else {}
    )
    recipe = TrainConfig(4, None, 2, 2, 1e-3, 0, save_steps=2, **RUNS[run])
    states, frozen = [], []
    for folder in ("whole", "resumed"):
        model, trained = prepared(processor, masks, **changes)
        before = {name: weight.clone() for name, weight in model.named_parameters() if not weight.requires_grad}
        saved = Checkpoints(tmp_path / folder, "x", keep=9)
        if folder == "resumed":
            for file in (tmp_path / "whole").glob("*2.pt*"):
                shutil.copy(file, tmp_path / folder)
            torch.rand(7)
        done = train(model, processor, samples, validation, recipe, saved)
        assert done.resumed == (folder == "resumed")
        states.append(saved.load(4))
        frozen.append(all(weight.equal(before[name]) for name, weight in model.named_parameters() if name in before))
    assert frozen == [True, True]
    assert states[0]["model"].keys() >= set(trained.names)
    assert not [name for name in states[0]["model"] if "base_layer" in name or "vision_tower" in name]
    for name, value in states[0]["model"].items():
        assert value.equal(states[1]["model"][name]), name
    first, again = (state["optimizer"]["state"] for state in states)
    for number, values in first.items():
        assert all(
            torch.equal(torch.as_tensor(value), torch.as_tensor(again[number][key]))
            for key, value in values.items()
            if value is not None
        )


def test_dropout_is_off_in_validation(samples, validation, processor):
    """Two validations with the same weights: a rate so low that nothing is learned."""
    model, _ = prepared(processor, lora=LORA | {"dropout": 0.9})
    disturb(model)
    done = train(model, processor, samples, validation, TrainConfig(2, None, 2, 1, 1e-12, 0))
    assert done.curve[0].validation_loss == pytest.approx(done.curve[-1].validation_loss, abs=1e-6)


def test_model_without_grounding_tokens_is_refused(processor):
    class Words:
        def get_vocab(self):
            return {"liver": 0}

    class Processor:
        tokenizer = Words()

    with pytest.raises(
        ValueError, match=r"train.trained: this model has no tokens for boxes and masks: leave tokens out"
    ):
        TrainedWeights(tiny_model(processor, 0), Processor(), choice())


class HubWords:
    """As many tokens of boxes and masks as PaliGemma 2 has with the added ones, at other ids."""

    def get_vocab(self):
        names = [f"<loc{number:04}>" for number in range(1024)] + [f"<seg{number:03}>" for number in range(128)]
        return {name: number for number, name in enumerate([*names, *GROUNDING_TOKENS], 256_000)}


class HubProcessor:
    tokenizer = HubWords()


# Trained weights and bytes of all weights of docs/small-gpus.md. A layer has 14,155,776 attention weights (2304 x (2048 + 2 x 1024) +
# 2048 x 2304), 63,700,992 of the MLP (3 x 2304 x 9216) and 4 x 2304 of norms; there are 26 layers and a last norm. Adapters of rank 16
# have 16 x 49,920 a layer, the sum of both sides of the seven matrices. Projector: 1152 x 2304 + 2304; tokens: 1157 x 2304.
PROJECTOR, TOKENS = 1152 * 2304 + 2304, 1157 * 2304
SIZES = [
    (["tokens", "projector"], {"rank": 16}, PROJECTOR + TOKENS + 26 * 16 * 49_920, 6.1e9),
    (["attention", "tokens", "projector"], None, PROJECTOR + TOKENS + 26 * 14_155_776, 6.8e9),
    (
        ["language", "tokens", "projector"],
        None,
        PROJECTOR + TOKENS + 26 * (14_155_776 + 63_700_992 + 4 * 2304) + 2304,
        10.1e9,
    ),
]


@pytest.mark.parametrize(("parts", "lora", "count", "size"), SIZES, ids=["adapters", "attention", "language"])
def test_recipes_of_small_gpus_have_the_sizes_of_their_page(parts, lora, count, size):
    with torch.device("meta"):
        model = PaliGemmaForConditionalGeneration(PaliGemmaConfig(**PALIGEMMA2_3B))
    options = choice(trained=parts, lora=lora, frozen_dtype="bfloat16", compute_dtype="bfloat16")
    trained = TrainedWeights(model, HubProcessor(), options)
    assert trained.count == count
    assert sum(weight.nbytes for weight in model.parameters()) == pytest.approx(size, abs=0.1e9)
