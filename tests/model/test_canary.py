import pytest
import torch
from transformers.models.paligemma.modeling_paligemma import PaliGemmaModel

from refrad.model.canary import check_image_input
from refrad.model.radgrounder import load_model, save_model, tiny_model


def test_model_that_takes_its_image_passes_and_no_random_number_is_used(processor):
    model = tiny_model(processor, 0)
    state = torch.get_rng_state()
    check_image_input(model)
    assert torch.get_rng_state().equal(state)
    check_image_input(model)  # nothing of the first check is left


@pytest.mark.filterwarnings("ignore::UserWarning:torch.nn.attention.flex_attention")
@pytest.mark.parametrize("attention", ["eager", "flex_attention"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_model_from_a_folder_passes_in_each_dtype_and_attention(processor, tmp_path, attention, dtype):
    save_model(tiny_model(processor, 0), processor, tmp_path)
    check_image_input(load_model(tmp_path, processor, attention, dtype))


@pytest.fixture
def older_transformers(monkeypatch):
    """PaliGemma as before transformers 5.18: the argument disappears among the keyword arguments."""
    forward = PaliGemmaModel.forward

    def without_image(model, mm_encoder_outputs=None, **rest):
        assert mm_encoder_outputs
        return forward(model, **rest)

    monkeypatch.setattr(PaliGemmaModel, "forward", without_image)
    monkeypatch.setattr("transformers.__version__", "5.17.0")


@pytest.mark.usefixtures("older_transformers")
def test_transformers_that_ignores_images_is_refused_with_its_version(processor):
    with pytest.raises(
        ValueError, match=r"^transformers 5\.17\.0 ignores the image .*install transformers 5\.23 or newer"
    ):
        check_image_input(tiny_model(processor, 0))
