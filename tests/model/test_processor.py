from PIL import Image

from refrad.model.processor import GROUNDING_TOKENS, load_processor


def test_each_tag_and_each_place_is_one_token(processor):
    text = "<p bbox=<loc0000><loc0511><loc0007><loc0100> id=<seg005>>Liver</p>"
    tokens = processor.tokenizer.tokenize(text)
    assert [token for token in tokens if token.startswith("<loc")] == [
        "<loc0000>",
        "<loc0511>",
        "<loc0007>",
        "<loc0100>",
    ]
    assert set(tokens) >= {"<p bbox=", "</p>", " id=", "<seg005>"}


def test_decoding_gives_back_what_was_written(processor):
    for text in ("<p bbox=<loc0000><loc0511><loc0007><loc0100> id=<seg005>>Liver</p>, spleen", "Übergröße ‹ 5 mm µ"):
        ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert processor.tokenizer.decode(ids, skip_special_tokens=True) == text


def test_it_comes_back_from_its_folder(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    again = load_processor(tmp_path)
    assert len(again.tokenizer) == len(processor.tokenizer)
    image, text = Image.new("RGB", (64, 64)), "<image>\n\nLocate: Liver "
    one, other = (p(images=image, text=text, return_tensors="pt") for p in (processor, again))
    assert one["input_ids"].equal(other["input_ids"]) and one["pixel_values"].equal(other["pixel_values"])
    assert all(
        again.tokenizer.convert_tokens_to_ids(token) != again.tokenizer.unk_token_id for token in GROUNDING_TOKENS
    )
