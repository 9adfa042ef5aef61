import io
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from tests.factories import tiny_training, write_dicom
from tests.factories.processes import train_in_process

from refrad.cli import main
from refrad.commands.predict import draw, report_lines
from refrad.config import TrainOptions
from refrad.core.manifests import write_manifest
from refrad.dataset.examples import example_of_row, read_image_table
from refrad.dicom.hanging import TURNS
from refrad.inference import predictor as predictor_module
from refrad.inference.generate import GeneratedText
from refrad.inference.load_image import LoadedImage
from refrad.inference.predictor import Prediction, Predictor, Region
from refrad.model.box_tokens import parse_detection
from refrad.model.preprocess import WHOLE, render_view
from refrad.model.radgrounder import head_of
from refrad.workflow.fingerprint import Fingerprint


@pytest.fixture(scope="module", params=["detection", "segmentation"])
def checkpoint(request, images, root, tmp_path_factory):
    schema = root / "workflow" / "anatomy" / "classes.yaml"
    return train_in_process(
        images, schema, tmp_path_factory.mktemp(request.param), tiny_training(variant=request.param)
    )


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    pixels = np.full((48, 80), 1000, np.uint16)
    pixels[10:30, 20:50] = 1100
    return write_dicom(tmp_path_factory.mktemp("image") / "a.dcm", pixels, RescaleSlope=1, RescaleIntercept=-1024)


@pytest.fixture(scope="module")
def predictor(checkpoint):
    return Predictor(checkpoint, "cpu")


def test_model_input_is_as_in_training(predictor, images, tmp_path):
    row = next(read_image_table([images], {"test"}).iter_rows(named=True))
    picture = example_of_row(row)
    (tmp_path / "p.png").write_bytes(row["image"]["bytes"])
    whole = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
    loaded = LoadedImage(whole.transpose(2, 0, 1), "CT", "")
    assert np.array_equal(predictor.model_input(loaded), render_view(picture.load_image(), WHOLE, predictor.side))


def test_regions_of_padded_image_are_in_image_pixels(predictor, image, monkeypatch):
    """By hand: 80 x 48 px in a square of 512 bins are 512 x 307.2 bins, with 102.4 bins of black above and below."""
    monkeypatch.setattr(predictor, "options", predictor.options.model_copy(update={"resize": "pad"}))
    pixels = predictor.model_input(predictor.predict(image).image)
    assert (pixels[:12] == 0).all() and (pixels[-12:] == 0).all() and pixels[14:-14].any(axis=(1, 2)).all()
    box = "<p bbox=<loc0128><loc0064><loc0255><loc0447> id=<seg005>>liver</p>"
    masks = head_of(predictor.model) is not None
    monkeypatch.setattr(
        "refrad.inference.predictor.generate",
        lambda *_: [GeneratedText("<seg>liver</seg>" if masks else box, 9, False)],
    )
    drawn = np.zeros((predictor.side, predictor.side), bool)
    drawn[:32, 16:48] = True  # above the middle
    monkeypatch.setattr("refrad.inference.predictor.generate_masks", lambda *_: [drawn[None]])
    (region,) = predictor.predict(image).regions
    if masks:
        expected = np.zeros((48, 80), bool)
        expected[:24, 20:60] = True
        assert np.array_equal(region.mask, expected)
    else:
        inside = parse_detection(box, "yxyx").entities[0].box
        x_min, y_min, x_max, y_max = (side * 80 for side in inside)
        assert region.box == pytest.approx((x_min, y_min - 16, x_max, y_max - 16))
        assert region.box == pytest.approx((10, 4, 70, 24), abs=0.2)


def test_model_sees_the_turned_image_and_regions_are_turned_back(predictor, monkeypatch):
    """By hand: turned clockwise, the lower left quarter of an image of 80 x 48 px becomes the upper left quarter."""
    monkeypatch.setattr(predictor, "turned", True)
    channels = np.zeros((3, 48, 80), np.uint8)
    channels[:, 24:, :40] = 255
    image = LoadedImage(channels, "CT", "", TURNS["rotate_90"])
    pixels, half = predictor.model_input(image), predictor.side // 2
    assert pixels[: half - 3, : half - 3].min() > 200 and pixels[half + 3 :].max() < 50 > pixels[:, half + 3 :].max()
    masks = head_of(predictor.model) is not None
    box = "<p bbox=<loc0000><loc0000><loc0256><loc0256> id=<seg005>>liver</p>"
    monkeypatch.setattr(
        "refrad.inference.predictor.generate",
        lambda *_: [GeneratedText("<seg>liver</seg>" if masks else box, 9, False)],
    )
    drawn = np.zeros((1, predictor.side, predictor.side), bool)
    drawn[:, :half, :half] = True
    monkeypatch.setattr("refrad.inference.predictor.generate_masks", lambda *_: [drawn])
    ((region,),) = [prediction.regions for prediction in predictor.predict_batch([image], "prompt")]
    if masks:
        assert np.array_equal(region.mask, channels[0] > 0)
    else:
        assert region.box == pytest.approx((0, 24, 40, 48), abs=0.3)


@pytest.mark.parametrize("prompt", [{}, {"question": "Is the liver visible?"}, {"locate": "liver"}, {"language": "de"}])
def test_predict_accepts_each_kind_of_prompt(predictor, image, prompt):
    prediction = predictor.predict(image, **prompt)
    assert "image: CT, 80 x 48 px" in list(report_lines(prediction))
    assert draw(prediction).size == (880, 528)
    for region in prediction.regions:
        assert region.mask is None or region.mask.shape == (48, 80)


def test_predictor_in_bfloat16_has_such_weights_and_the_same_masks(checkpoint, predictor, image, monkeypatch):
    """bfloat16 has 8 bits of precision: of the pixels of a mask, those near its edge may change."""
    half = Predictor(checkpoint, "cpu", compute_dtype="bfloat16")
    assert {weights.dtype for name, weights in half.model.named_parameters() if "mask_head" not in name} == {
        torch.bfloat16
    }
    assert half.predict(image, locate="liver").answer == half.predict(image, locate="liver").answer
    if predictor.masks:
        answer = [GeneratedText("<seg>liver</seg>", 9, False)]
        monkeypatch.setattr("refrad.inference.predictor.generate", lambda *_: answer)
        masks = [one.predict(image).regions[0].mask for one in (predictor, half)]
        assert masks[0].shape == masks[1].shape == (48, 80) and (masks[0] == masks[1]).mean() > 0.9


def test_predict_command_refuses_another_type(checkpoint, image, tmp_path, capsys):
    words = ["predict", str(checkpoint), str(image), "--out", str(tmp_path), "--compute-dtype"]
    assert main([*words, "bfloat16"]) == 0 and main([*words, "float16"]) == 1
    assert capsys.readouterr().err.strip().endswith("compute dtype is float16: it must be float32, bfloat16 or int8")


def test_caption_without_regions_has_the_prompt_of_its_training(predictor):
    prompt = predictor.prompt(None, None, "Schmerz", "de", regions=False)
    assert prompt == "<image>\nKlinische Angaben: Schmerz\nBeschreibe dieses Bild: "


def test_predict_refuses_wrong_arguments(predictor, image, tmp_path):
    with pytest.raises(ValueError, match="must be en or de"):
        predictor.predict(image, language="fr")
    with pytest.raises(ValueError, match="locate asks for regions"):
        predictor.prompt(None, "liver", regions=False)
    with pytest.raises(ValueError, match="question and locate exclude each other"):
        predictor.predict(image, question="?", locate="liver")
    with pytest.raises(ValueError, match="name a folder that stage train made"):
        Predictor(tmp_path)


def test_regions_are_printed_and_drawn_in_image_pixels():
    channels = np.zeros((3, 100, 200), np.uint8)
    mask = np.zeros((100, 200), bool)
    mask[:10, :10] = True
    regions = (Region("Leber", "liver", (20.0, 10.0, 60.0, 50.0)), Region("spleen", None, None, mask))
    prediction = Prediction("Leber und Milz.", regions, ("<p",), "", LoadedImage(channels, "CT", "CT, 200 x 100 px"))
    assert list(report_lines(prediction)) == [
        "image: CT, 200 x 100 px",
        "Leber und Milz.",
        "  Leber (liver): x 20 to 60, y 10 to 50",
        "  spleen: 100 px",
        "  1 tags of the answer could not be read",
    ]
    drawn = np.asarray(draw(prediction)).astype(int)
    scale = drawn.shape[0] // 100
    assert drawn[30 * scale, 20 * scale].sum() > 200 and drawn[30 * scale, 40 * scale].sum() == 0
    assert drawn[scale, scale].sum() > 100


def test_predict_command_prints_answer_and_writes_picture(checkpoint, image, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        main(["predict", str(checkpoint), str(image), "--question", "Ist die Leber zu sehen?", "--language", "de"]) == 0
    )
    printed = capsys.readouterr().out
    assert printed.startswith("image: CT, 80 x 48 px\n") and printed.endswith("picture: predicted/a.png\n")
    assert (tmp_path / "predicted" / "a.png").is_file()


def test_predict_command_lists_unreadable_files_of_a_folder(checkpoint, image, tmp_path, capsys):
    for name in ("1.dcm", "2.dcm"):
        (tmp_path / name).write_bytes(image.read_bytes())
    (tmp_path / "3.png").write_bytes(b"broken")
    out = tmp_path / "out"
    assert main(["predict", str(checkpoint), str(tmp_path), "--out", str(out)]) == 0
    assert "3 files: 2 read, 1 could not be read" in capsys.readouterr().out
    rows = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [row["file"] for row in rows] == ["1.dcm", "2.dcm", "3.png"]
    assert rows[0]["answer"] == rows[1]["answer"] and "cannot be read as a picture" in rows[2]["error"]
    assert (out / rows[1]["picture"]).is_file()


def test_predict_command_prints_json_lines_for_a_folder(checkpoint, image, tmp_path, capsys):
    (tmp_path / "1.dcm").write_bytes(image.read_bytes())
    (tmp_path / "2.png").write_bytes(b"broken")
    out = tmp_path / "out"
    assert main(["predict", str(checkpoint), str(tmp_path), "--out", str(out), "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed == (out / "predictions.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in printed.splitlines()]
    assert [set(row) for row in rows] == [{"file", "text", "answer", "cut", "picture", "places"}, {"file", "error"}]


def test_predict_command_reports_a_cut_answer(checkpoint, image, tmp_path, capsys):
    for tokens in ("1", "0"):
        status = main(["predict", str(checkpoint), str(image), "--out", str(tmp_path), "--answer-tokens", tokens])
        assert status == (tokens == "0")
    printed = capsys.readouterr()
    assert "the answer is cut" in printed.out and "answer tokens are 0: they must be 1 or more" in printed.err


def test_predict_command_error_is_one_line(checkpoint, tmp_path, capsys):
    assert main(["predict", str(checkpoint), str(tmp_path / "none.dcm")]) == 1
    assert capsys.readouterr().err.strip().endswith("none.dcm: no such file")


def test_masks_are_made_for_closed_phrases_only(predictor, image, monkeypatch):
    if head_of(predictor.model) is None:
        pytest.skip("the detection variant has no masks")
    monkeypatch.setattr(
        "refrad.inference.predictor.generate",
        lambda *_: [GeneratedText("<seg>Liver</seg> and <seg>spleen</seg>, <seg>open", 12, True)],
    )
    prediction = predictor.predict(image)
    assert [region.phrase for region in prediction.regions] == ["Liver", "spleen"]
    assert all(region.mask.shape == (48, 80) for region in prediction.regions)
    assert prediction.damaged


def test_predict_command_reads_folder_of_mixed_formats(checkpoint, image, tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "1.2.840.7").write_bytes(image.read_bytes())  # as archives name files
    (folder / "notes.txt").write_text("no image")
    Image.fromarray(np.full((30, 40), 90, np.uint8)).save(folder / "deep" / "p.png")
    nib.save(nib.Nifti1Image(np.zeros((20, 24, 5), np.int16), np.eye(4)), folder / "v.nii.gz")
    assert (
        main(["predict", str(checkpoint), str(folder), "--locate", "Leber", "--language", "de", "--out", str(out)]) == 0
    )
    assert "3 files: 3 read, 0 could not be read" in capsys.readouterr().out
    rows = {row["file"]: row for row in map(json.loads, (out / "predictions.jsonl").read_text().splitlines())}
    assert set(rows) == {"1.2.840.7", "deep/p.png", "v.nii.gz"}
    assert all((out / row["picture"]).is_file() for row in rows.values())


def test_predict_batch_equals_single_predictions(predictor, image, tmp_path):
    pixels = np.full((60, 40), 1500, np.uint16)
    other = write_dicom(tmp_path / "b.dcm", pixels, RescaleSlope=1, RescaleIntercept=-1024)
    predictions = predictor.predict_batch(
        [predictor.load(image), predictor.load(other)], predictor.prompt(None, "liver")
    )
    for prediction, path in zip(predictions, (image, other), strict=True):
        alone = predictor.predict(path, locate="liver")
        assert (prediction.answer, len(prediction.regions)) == (alone.answer, len(alone.regions))
        assert prediction.image.note == alone.image.note


def test_checkpoint_with_missing_options_is_refused(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "old")
    account = json.loads((checkpoint / "training.json").read_text())
    stored = Fingerprint.parse(account["fingerprint"])
    options = {name: value for name, value in stored.options.items() if name != "resize"}
    account["fingerprint"] = Fingerprint(stored.stage, stored.version, options, dict(stored.files)).text
    (tmp_path / "old" / "training.json").write_text(json.dumps(account))
    write_manifest(tmp_path / "old")
    with pytest.raises(ValueError, match="made by another version of stage train; train it again"):
        Predictor(tmp_path / "old", "cpu")


def test_predictor_opens_checkpoint_with_old_option_names(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "old")
    account = json.loads((checkpoint / "training.json").read_text())
    stored = Fingerprint.parse(account["fingerprint"])
    old = {new: old for old, new in TrainOptions.RENAMED.items()}
    options = {old.get(key, key): value for key, value in stored.options.items()}
    assert "clip" in options and "tower_steps" in options
    account["fingerprint"] = Fingerprint(stored.stage, stored.version, options, dict(stored.files)).text
    (tmp_path / "old" / "training.json").write_text(json.dumps(account))
    write_manifest(tmp_path / "old")
    assert Predictor(tmp_path / "old", "cpu").options == Predictor(checkpoint, "cpu").options


@pytest.mark.parametrize("name", ["model.safetensors", "training.json", "tokenizer.json", "config.json"])
def test_damaged_checkpoint_is_refused_with_its_remedy(checkpoint, tmp_path, name):
    folder = tmp_path / "damaged"
    shutil.copytree(checkpoint, folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"damaged is damaged \({name}\): delete it and run snakemake --force"):
        Predictor(folder, "cpu")


def test_predictor_checks_that_the_installed_transformers_takes_images(checkpoint, monkeypatch):
    checked = []
    monkeypatch.setattr(predictor_module, "check_image_input", checked.append)
    assert checked == [Predictor(checkpoint, "cpu").model]


def test_predict_command_writes_dicom_of_a_dicom_image_alone(checkpoint, image, tmp_path, capsys):
    words = ["predict", str(checkpoint), "--locate", "liver", "--out", str(tmp_path / "out"), "--dicom", "seg", "sr"]
    assert main([*words, "--json", "--", str(image)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert "a.sr.dcm" in row["dicom"] or row["dicom_missing"]
    Image.new("L", (80, 48)).save(tmp_path / "a.png")
    assert main([*words, "--", str(tmp_path / "a.png")]) == 1
    assert "a.png: --dicom needs a DICOM image" in capsys.readouterr().err
