import pytest
import torch
from torch import nn

from refrad.model.radgrounder import tiny_model
from refrad.training.state import frozen_digest, load_weights, weights_to_save


@pytest.fixture
def model(processor):
    model = tiny_model(processor, 0)
    model.model.vision_tower.requires_grad_(False)
    return model


def test_frozen_weights_are_not_saved(model):
    saved = weights_to_save(model)
    assert saved and not any("vision_tower" in name for name in saved)
    assert "lm_head.weight" in saved  # a second name of the word embeddings
    assert weights_to_save(model, whole=True).keys() == model.state_dict().keys()


@pytest.mark.parametrize("whole", [False, True])
def test_saved_weights_round_trip(model, processor, whole):
    other = tiny_model(processor, 1)
    other.model.vision_tower.requires_grad_(False)
    load_weights(other, weights_to_save(model, whole))
    same = {name: value.equal(other.state_dict()[name]) for name, value in model.state_dict().items()}
    assert all(equal or (not whole and "vision_tower" in name) for name, equal in same.items())
    assert not whole or all(same.values())


def test_weights_of_another_model_are_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    weights = weights_to_save(model)
    assert sorted(weights) == ["1.bias", "1.weight"]
    for wrong, words in [
        ({"1.bias": weights["1.bias"]}, r"1 missing, 0 unexpected \(1.weight\)"),
        (weights | {"0.bias": torch.zeros(2)}, r"0 missing, 1 unexpected \(0.bias\)"),  # half of the frozen ones
        (weights | {"1.weight": torch.zeros(3, 3)}, "size mismatch for 1.weight"),
    ]:
        with pytest.raises(ValueError, match=f"not those of this model: .*{words}"):
            load_weights(model, wrong)


def test_digest_is_of_frozen_weights_only(model):
    digest = frozen_digest(model)
    with torch.no_grad():
        model.lm_head.weight += 1
        assert frozen_digest(model) == digest
        next(model.model.vision_tower.parameters())[0] += 1
    assert frozen_digest(model) != digest
