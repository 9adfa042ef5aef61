import io
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from tests.factories import tiny_training, write_dicom

from refrad.cli import main
from refrad.commands.predict import draw, told
from refrad.config import TrainOptions
from refrad.dataset.examples import example_of_row, read_image_table
from refrad.inference.load_image import Opened
from refrad.inference.predictor import Finding, Place, Reader
from refrad.model.box_tokens import parse_detection
from refrad.model.preprocess import WHOLE, see
from refrad.model.radgrounder import head_of
from refrad.stages import train
from refrad.workflow.fingerprint import Fingerprint


@pytest.fixture(scope="module", params=["detection", "segmentation"])
def checkpoint(request, images, root, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    train.run(
        images=[images],
        schema=root / "workflow" / "anatomy" / "classes.yaml",
        checkpoint=folder / "x",
        work=folder / "x.work",
        metrics=folder / "m.json",
        fingerprint=Fingerprint("train", train.VERSION, tiny_training(variant=request.param), {}),
    )
    return folder / "x"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    pixels = np.full((48, 80), 1000, np.uint16)
    pixels[10:30, 20:50] = 1100
    return write_dicom(tmp_path_factory.mktemp("image") / "a.dcm", pixels, RescaleSlope=1, RescaleIntercept=-1024)


@pytest.fixture(scope="module")
def reader(checkpoint):
    return Reader(checkpoint, "cpu")


def test_it_sees_what_training_saw(reader, images, tmp_path):
    row = next(read_image_table([images], {"test"}).iter_rows(named=True))
    picture = example_of_row(row)
    (tmp_path / "p.png").write_bytes(row["image"]["bytes"])
    whole = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
    opened = Opened(whole.transpose(2, 0, 1), "CT", "")
    assert np.array_equal(reader._seen(opened), see(picture.load_image(), WHOLE, reader.side))


def test_a_padded_square_is_left_again_in_pixels_of_the_image(reader, image, monkeypatch):
    """By hand: 80 x 48 px in a square of 512 bins are 512 x 307.2 bins, with 102.4 bins of black above and below."""
    monkeypatch.setattr(reader, "options", reader.options.model_copy(update={"resize": "pad"}))
    seen = reader._seen(reader.read(image).image)
    assert (seen[:12] == 0).all() and (seen[-12:] == 0).all() and seen[14:-14].any(axis=(1, 2)).all()
    box = "<p bbox=<loc0128><loc0064><loc0255><loc0447> id=<seg005>>liver</p>"
    masks = head_of(reader.model) is not None
    monkeypatch.setattr("refrad.inference.predictor.answers", lambda *_: ["<seg>liver</seg>" if masks else box])
    drawn = np.zeros((reader.side, reader.side), bool)
    drawn[:32, 16:48] = True  # above the middle
    monkeypatch.setattr("refrad.inference.predictor.masks_of", lambda *_: [drawn[None]])
    (place,) = reader.read(image).places
    if masks:
        expected = np.zeros((48, 80), bool)
        expected[:24, 20:60] = True
        assert np.array_equal(place.mask, expected)
    else:
        inside = parse_detection(box, "yxyx").entities[0].box
        x_min, y_min, x_max, y_max = (one * 80 for one in inside)
        assert place.box == pytest.approx((x_min, y_min - 16, x_max, y_max - 16))
        assert place.box == pytest.approx((10, 4, 70, 24), abs=0.2)


@pytest.mark.parametrize("asked", [{}, {"question": "Is the liver visible?"}, {"locate": "liver"}, {"language": "de"}])
def test_everything_can_be_asked_in_one_call(reader, image, asked):
    finding = reader.read(image, **asked)
    assert "image: CT, 80 x 48 px" in list(told(finding))
    assert draw(finding).size == (880, 528)
    for place in finding.places:
        assert place.mask is None or place.mask.shape == (48, 80)


def test_what_makes_no_sense_is_refused(reader, image, tmp_path):
    with pytest.raises(ValueError, match="must be en or de"):
        reader.read(image, language="fr")
    with pytest.raises(ValueError, match="either a question or where"):
        reader.read(image, question="?", locate="liver")
    with pytest.raises(ValueError, match="name a folder that stage train made"):
        Reader(tmp_path)


def test_places_are_told_and_drawn_in_pixels_of_the_image():
    channels = np.zeros((3, 100, 200), np.uint8)
    mask = np.zeros((100, 200), bool)
    mask[:10, :10] = True
    places = (Place("Leber", "liver", (20.0, 10.0, 60.0, 50.0)), Place("spleen", None, None, mask))
    finding = Finding("Leber und Milz.", places, ("<p",), "", Opened(channels, "CT", "CT, 200 x 100 px"))
    assert list(told(finding)) == [
        "image: CT, 200 x 100 px",
        "Leber und Milz.",
        "  Leber (liver): x 20 to 60, y 10 to 50",
        "  spleen: 100 px",
        "  1 tags of the answer made no sense",
    ]
    drawn = np.asarray(draw(finding)).astype(int)
    scale = drawn.shape[0] // 100
    assert drawn[30 * scale, 20 * scale].sum() > 200 and drawn[30 * scale, 40 * scale].sum() == 0
    assert drawn[scale, scale].sum() > 100


def test_the_command_prints_the_answer_and_writes_the_picture(checkpoint, image, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (
        main(["predict", str(checkpoint), str(image), "--question", "Ist die Leber zu sehen?", "--language", "de"]) == 0
    )
    said = capsys.readouterr().out
    assert said.startswith("image: CT, 80 x 48 px\n") and said.endswith("picture: predicted/a.png\n")
    assert (tmp_path / "predicted" / "a.png").is_file()


def test_a_folder_is_read_whole_and_what_cannot_be_read_is_put_aside(checkpoint, image, tmp_path, capsys):
    for name in ("1.dcm", "2.dcm"):
        (tmp_path / name).write_bytes(image.read_bytes())
    (tmp_path / "3.png").write_bytes(b"broken")
    out = tmp_path / "out"
    assert main(["predict", str(checkpoint), str(tmp_path), "--out", str(out)]) == 0
    assert "3 files: 2 read, 1 put aside" in capsys.readouterr().out
    rows = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [row["file"] for row in rows] == ["1.dcm", "2.dcm", "3.png"]
    assert rows[0]["answer"] == rows[1]["answer"] and "cannot be read as a picture" in rows[2]["error"]
    assert (out / rows[1]["picture"]).is_file()


def test_an_error_is_one_line(checkpoint, tmp_path, capsys):
    assert main(["predict", str(checkpoint), str(tmp_path / "none.dcm")]) == 1
    assert capsys.readouterr().err.strip().endswith("none.dcm: no such file")


def test_a_mask_is_given_for_each_phrase_that_closes(reader, image, monkeypatch):
    if head_of(reader.model) is None:
        pytest.skip("the detection variant has no masks")
    monkeypatch.setattr(
        "refrad.inference.predictor.answers", lambda *_: ["<seg>Liver</seg> and <seg>spleen</seg>, <seg>open"]
    )
    finding = reader.read(image)
    assert [place.phrase for place in finding.places] == ["Liver", "spleen"]
    assert all(place.mask.shape == (48, 80) for place in finding.places)
    assert finding.damaged


def test_a_folder_may_mix_dicom_without_suffix_pictures_and_volumes(checkpoint, image, tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "1.2.840.7").write_bytes(image.read_bytes())  # as archives name files
    (folder / "notes.txt").write_text("no image")
    Image.fromarray(np.full((30, 40), 90, np.uint8)).save(folder / "deep" / "p.png")
    nib.save(nib.Nifti1Image(np.zeros((20, 24, 5), np.int16), np.eye(4)), folder / "v.nii.gz")
    assert (
        main(["predict", str(checkpoint), str(folder), "--locate", "Leber", "--language", "de", "--out", str(out)]) == 0
    )
    assert "3 files: 3 read, 0 put aside" in capsys.readouterr().out
    rows = {row["file"]: row for row in map(json.loads, (out / "predictions.jsonl").read_text().splitlines())}
    assert set(rows) == {"1.2.840.7", "deep/p.png", "v.nii.gz"}
    assert all((out / row["picture"]).is_file() for row in rows.values())


def test_images_asked_together_are_answered_as_one_by_one(reader, image, tmp_path):
    pixels = np.full((60, 40), 1500, np.uint16)
    other = write_dicom(tmp_path / "b.dcm", pixels, RescaleSlope=1, RescaleIntercept=-1024)
    together = reader.ask([reader.open(image), reader.open(other)], reader.prompt(None, "liver"))
    for one, path in zip(together, (image, other), strict=True):
        alone = reader.read(path, locate="liver")
        assert (one.answer, len(one.places)) == (alone.answer, len(alone.places))
        assert one.image.note == alone.image.note


def test_a_checkpoint_of_other_options_says_so(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "old")
    account = json.loads((checkpoint / "training.json").read_text())
    told = Fingerprint.parse(account["fingerprint"])
    options = {name: value for name, value in told.options.items() if name != "resize"}
    account["fingerprint"] = Fingerprint(told.stage, told.version, options, dict(told.files)).text
    (tmp_path / "old" / "training.json").write_text(json.dumps(account))
    with pytest.raises(ValueError, match="made by another version of stage train; train it again"):
        Reader(tmp_path / "old", "cpu")


def test_predictor_opens_checkpoint_with_old_option_names(checkpoint, tmp_path):
    shutil.copytree(checkpoint, tmp_path / "old")
    account = json.loads((checkpoint / "training.json").read_text())
    stored = Fingerprint.parse(account["fingerprint"])
    old = {new: old for old, new in TrainOptions.RENAMED.items()}
    options = {old.get(key, key): value for key, value in stored.options.items()}
    assert "clip" in options and "tower_steps" in options
    account["fingerprint"] = Fingerprint(stored.stage, stored.version, options, dict(stored.files)).text
    (tmp_path / "old" / "training.json").write_text(json.dumps(account))
    assert Reader(tmp_path / "old", "cpu").options == Reader(checkpoint, "cpu").options
