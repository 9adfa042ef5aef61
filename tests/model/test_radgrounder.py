import torch
from PIL import Image

from refrad.inference.generate import generate
from refrad.model.processor import load_processor
from refrad.model.radgrounder import load_model, tiny_model, untrained_like


def logits(model, processor):
    inputs = processor(images=Image.new("RGB", (64, 64), "grey"), text="<image>\n\nLocate: Liver ", return_tensors="pt")
    with torch.no_grad():
        return model.eval()(**inputs).logits


def test_the_checkpoint_gives_the_same_logits(processor, tmp_path):
    model = tiny_model(processor, seed=1)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again = load_model(tmp_path, load_processor(tmp_path))
    assert torch.allclose(logits(model, processor), logits(again, processor), atol=1e-5)


def test_weights_depend_on_the_seed_and_nothing_else(processor):
    torch.rand(7)  # what others did with the generator is of no account
    one, same, other = (tiny_model(processor, seed) for seed in (1, 1, 2))
    for key, value in one.state_dict().items():
        assert value.equal(same.state_dict()[key]), key
    assert not logits(one, processor).equal(logits(other, processor))
    assert logits(untrained_like(one, processor, 1), processor).equal(logits(one, processor))


def test_the_order_of_prompts_does_not_matter(processor):
    model = tiny_model(processor, seed=1)
    images = [torch.full((64, 64, 3), level, dtype=torch.uint8).numpy() for level in (0, 90, 250)]
    texts = ["<image>\n\nLocate: Liver ", "<image>\n\nLocate: Liver, spleen ", "<image>\n\nLocate: spleen "]
    together = generate(model, processor, images, texts, limit=5)
    assert together == generate(model, processor, images[::-1], texts[::-1], limit=5)[::-1]
    assert together == [generate(model, processor, [i], [t], limit=5)[0] for i, t in zip(images, texts, strict=True)]
