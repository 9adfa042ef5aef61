import numpy as np
import pytest
import torch
from tests.factories import AUGMENT
from torch.nn import functional

from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import example_of_row, read_image_table
from refrad.dataset.prompt_targets import locate
from refrad.inference.generate import generate, generate_masks
from refrad.model.box_tokens import parse_segmentation
from refrad.model.collate import collate
from refrad.model.mask_head import HEAD_FILE, mask_loss
from refrad.model.preprocess import WHOLE, render_view
from refrad.model.processor import load_processor
from refrad.model.radgrounder import add_head, head_of, load_model, save_model, tiny_model
from refrad.training.objective import batch_loss
from refrad.training.samples import SampleOptions, Samples, surface_forms
from refrad.training.step import train
from refrad.training.tower_pretraining import TowerPretraining, pretrain_vision_tower
from refrad.training.train_config import TrainConfig
from refrad.training.validation import Validation

TURNED = AUGMENT.model_copy(update={"rotation": 20.0})
SHARES = {"locate": 0.7, "detect": 0.3, "vqa": 0.0}


@pytest.fixture(scope="module")
def names(images, schema):
    return surface_forms(TableRows(read_image_table([images], {"train"})).classes.meanings, schema)


@pytest.fixture(scope="module")
def make(images, names):
    def make(split, augment=None, shares=SHARES):
        return Samples(
            TableRows(read_image_table([images], {split})), names, SampleOptions(64, None, shares, 0, augment)
        )

    return make


@pytest.fixture
def model(processor):
    model = tiny_model(processor, 0)
    add_head(model, processor, 0)
    return model


@pytest.mark.parametrize("augment", [None, AUGMENT, TURNED])
def test_each_mask_covers_what_its_phrase_names(make, augment):
    samples = make("train", augment)
    levels = {"Liver": 255, "spleen": 120}
    told = 0
    for index in range(len(samples)):
        sample = samples[0, index]
        phrases = parse_segmentation(sample.target).phrases
        assert len(phrases) == len(sample.masks)
        for phrase in phrases:
            mask = sample.masks[phrase.tag]
            if phrase.text in levels and mask.sum() > 100:
                told += 1
                assert sample.image[mask].mean() == pytest.approx(levels[phrase.text], rel=0.35)
                assert sample.image[~mask].max() > 0  # the other square
    assert told > 10


def test_the_masks_of_a_batch_belong_to_its_closing_tags(make, processor, model):
    drawn = [make("train")[0, index] for index in range(6)]
    batch = collate(processor, drawn)
    assert len(batch["masks"]) == (batch["labels"] == head_of(model).end).sum() == sum(len(s.masks) for s in drawn)
    loss = batch_loss(model, batch)
    loss.backward()
    assert all(
        one.grad is not None for n, one in head_of(model).named_parameters() if n.startswith(("image", "prompt"))
    )
    text = batch_loss(model, {name: one for name, one in batch.items() if name != "masks"})
    assert loss.item() > text.item()
    assert batch_loss(model, batch, mask_weight=0.0).item() == pytest.approx(text.item(), abs=1e-5)


def test_a_right_mask_costs_nothing_and_an_empty_batch_neither():
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[:, 2:6, 2:6] = True
    right = torch.where(masks, 20.0, -20.0)
    assert mask_loss(right, masks) < 1e-3 < 1 < mask_loss(-right, masks)
    assert mask_loss(right[:0], masks[:0]) == 0


def test_focal_without_focus_is_cross_entropy(monkeypatch):
    monkeypatch.setattr("refrad.model.mask_head.FOCAL_GAMMA", 0.0)
    monkeypatch.setattr("refrad.model.mask_head.FOCAL_ALPHA", 0.5)
    logits, masks = torch.randn(3, 5, 5), torch.rand(3, 5, 5) > 0.5
    chance, true = logits.sigmoid(), masks.float()
    dice = 1 - (2 * (chance * true).sum((1, 2)) + 1) / (chance.sum((1, 2)) + true.sum((1, 2)) + 1)
    expected = 0.5 * functional.binary_cross_entropy_with_logits(logits, true) + dice.mean()
    assert mask_loss(logits, masks).item() == pytest.approx(expected.item(), abs=1e-6)


def test_the_head_comes_back_and_the_folder_stays_a_stock_model(model, processor, tmp_path):
    from transformers import PaliGemmaForConditionalGeneration

    save_model(model, processor, tmp_path)
    again = load_model(tmp_path, load_processor(tmp_path))
    one, other = (head_of(each).state_dict() for each in (model, again))
    assert all(value.equal(other[name]) for name, value in one.items())
    _, info = PaliGemmaForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["unexpected_keys"] and not info["missing_keys"]
    (tmp_path / HEAD_FILE).unlink()
    assert head_of(load_model(tmp_path, load_processor(tmp_path))) is None


@pytest.mark.slow
def test_it_learns_masks(make, names, images, processor, model):
    """Dice of generated phrases on squares that it never saw; a mask drawn anywhere would reach about 0.2."""
    torch.manual_seed(0)
    pretrain_vision_tower(
        model,
        processor,
        TableRows(read_image_table([images], {"train"})),
        names,
        TowerPretraining(150, 8, 2.5e-3, 0, AUGMENT, mask_lr_scale=0.3),
    )
    locating = {"locate": 1.0, "detect": 0.0, "vqa": 0.0}
    train(
        model,
        processor,
        make("train", AUGMENT, locating),
        Validation(),
        TrainConfig(220, None, 8, 1, 2e-3, 0, mask_lr_scale=0.3),
    )
    scores = []
    for row in read_image_table([images], {"test"}).iter_rows(named=True):
        picture = example_of_row(row)
        for mention in picture.captions[0].mentions:
            text = locate([mention], "en", None)[0]
            image = render_view(picture.load_image(), WHOLE, 64)
            (answer,) = generate(model, processor, [image], [text], 24)
            (masks,) = generate_masks(model, processor, [image], [text], [answer.text])
            assert len(masks) == len(parse_segmentation(answer.text).phrases)
            true = picture.mask(one for one, _ in mention.targets)
            given = masks[0] if len(masks) else np.zeros_like(true)
            scores.append(2 * (given & true).sum() / (given.sum() + true.sum()))
    assert np.mean(scores) > 0.5, scores
