import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import AUGMENT

from refrad.core.types import SEG_TOKENS
from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import read_image_table
from refrad.dataset.image_codec import encode_mask
from refrad.model.radgrounder import add_head, head_of, tiny_model
from refrad.training.patch_targets import choose_classes, class_map, patch_shares
from refrad.training.tower_pretraining import TowerPretraining, pretrain_vision_tower


@given(st.integers(0, 1000))
def test_the_shares_of_a_patch_add_up_and_count_its_pixels(seed):
    classes = np.random.default_rng(seed).integers(0, SEG_TOKENS, (16, 16)).astype(np.uint8)
    shares = patch_shares(classes, 8)
    assert shares.shape == (4, SEG_TOKENS)
    assert shares.sum(1) == pytest.approx(1)
    corner = classes[:8, 8:]  # the second patch of the first row
    assert shares[1, 7] == (corner == 7).mean()


def test_the_class_map_is_the_masks_squashed_to_the_picture():
    mask = np.zeros((20, 40), bool)
    mask[10:, 20:] = True
    made = class_map([{"class_id": 5, "rle": encode_mask(mask)}], 40, 20, 10)
    assert made.shape == (10, 10)
    assert (made[5:, 5:] == 5).all() and made.sum() == 5 * 25


NAMES = {("en", 5): ["Liver"], ("en", 1): ["spleen"]}


def test_the_tower_learns_and_the_words_of_places_stay_as_they_are(images, processor):
    model = tiny_model(processor, 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    losses = pretrain_vision_tower(
        model,
        processor,
        TableRows(read_image_table([images], {"train"})),
        NAMES,
        TowerPretraining(30, 8, 3e-3, 0, AUGMENT),
    )
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])
    after = model.state_dict()
    changed = {name for name in after if not after[name].equal(before[name])}
    assert all(
        "vision_tower" in name or "projector" in name or "embed_tokens" in name or name == "lm_head.weight"
        for name in changed
    )
    first = processor.tokenizer.convert_tokens_to_ids("<loc0000>")
    one, other = (weights["lm_head.weight"][first : first + 1024] for weights in (before, after))
    assert one.equal(other)


def test_the_same_seed_teaches_the_same(images, processor):
    rows = TableRows(read_image_table([images], {"train"}))
    one, other = (
        pretrain_vision_tower(
            tiny_model(processor, 0), processor, rows, NAMES, TowerPretraining(3, 4, 1e-3, 7, AUGMENT)
        )
        for _ in range(2)
    )
    assert one == other


def test_a_tower_that_will_be_frozen_learns_to_see_all_the_same(images, processor):
    model = tiny_model(processor, 0)
    tower = model.model.vision_tower
    tower.requires_grad_(False)
    before = [parameter.clone() for parameter in tower.parameters()]
    pretrain_vision_tower(
        model,
        processor,
        TableRows(read_image_table([images], {"train"})),
        NAMES,
        TowerPretraining(3, 4, 1e-2, 0, AUGMENT),
    )
    learned = [not one.equal(other) for one, other in zip(before, tower.parameters(), strict=True)]
    assert sum(learned) > 0.8 * len(learned)
    assert not any(parameter.requires_grad for parameter in tower.parameters())


def test_a_mask_head_learns_along(images, processor):
    model = tiny_model(processor, 0)
    add_head(model, processor, 0)
    head = head_of(model)
    before = [parameter.clone() for parameter in head.parameters()]
    rows = TableRows(read_image_table([images], {"train"}))
    losses = pretrain_vision_tower(
        model, processor, rows, NAMES, TowerPretraining(30, 8, 3e-3, 0, AUGMENT, mask_lr_scale=0.3)
    )
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])
    learned = [not one.equal(other) for one, other in zip(before, head.parameters(), strict=True)]
    assert sum(learned) > 0.8 * len(learned)


def test_masks_are_asked_of_classes_that_a_view_shows_and_of_none_where_it_shows_none():
    rng, often = np.random.default_rng(0), np.ones(SEG_TOKENS, np.float32)
    place = np.zeros((8, 8), np.uint8)
    assert choose_classes(place, often, 3, rng).tolist() == [0, 0, 0]
    place[:2], place[4:] = 5, 7
    assert sorted(choose_classes(place, often, 3, rng).tolist()) == [0, 5, 7]
    assert choose_classes(place, often, 0, rng).tolist() == []


def test_pretraining_that_is_not_finite_stops_and_spoils_nothing_else(images, processor):
    model = tiny_model(processor, 0)
    with torch.no_grad():
        model.model.multi_modal_projector.linear.bias[0] = float("nan")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows = TableRows(read_image_table([images], {"train"}))
    with pytest.raises(
        ValueError, match="tower pretraining: the loss or gradient was not finite in 10 steps in a row, up to step 10"
    ):
        pretrain_vision_tower(model, processor, rows, NAMES, TowerPretraining(30, 2, 3e-3, 0, AUGMENT))
    after = model.state_dict()
    assert all(value.nan_to_num(7).equal(after[name].nan_to_num(7)) for name, value in before.items())
