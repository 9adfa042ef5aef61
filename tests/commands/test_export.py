"""Each export is opened by the tool that it is for."""

import base64
import io
import json
import re
import tarfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools.coco import COCO
from tests.dataset.exports.paper_loaders import PaperLoaders
from tests.factories import ROOT, describe_dataset, image_row, png_bytes, write_shards

from refrad.cli import main
from refrad.core import contracts, tables
from refrad.dataset.exports import EXPORTERS, ExportFormat
from refrad.dataset.image_codec import decode_mask, encode_pixels
from refrad.dataset.shard_io import read_rows, write_shard
from refrad.dicom.volume_store import store_volume
from refrad.workflow.fingerprint import Fingerprint

GERMAN = {"caption": "d", "language": "de", "text": "Leber und Milz o.B.", "tie": "structure"}


@pytest.fixture(scope="module")
def site(tmp_path_factory, images):
    """A dataset of 34 images whose splits share no patient, a sentence in two languages and one more, and its volume."""
    folder = tmp_path_factory.mktemp("site")
    rows = [row | {"patient": row["split"], "study": row["split"]} for row in read_rows([images])]
    rows[0]["questions"] += [rows[0]["questions"][0] | {"language": "de", "question": "Welche Modalität?"}]
    first = rows[0]["captions"][0]
    german = first | GERMAN | {"entities": [first["entities"][0] | {"start": 0, "end": 5, "text": "Leber"}]}
    rows[0]["captions"] += [
        german,
        first | {"caption": "x", "sentence": "second", "text": "Liver and more.", "entities": first["entities"][:1]},
    ]
    describe_dataset(folder / "shards", write_shards(folder / "shards", {"a/0": rows}), title="Card")
    values = np.random.default_rng(0).integers(-1000, 1000, (64, 64, 34)).astype(np.int16)
    digest, file = store_volume(values, np.eye(4), folder)
    told = dict.fromkeys(contracts.VolumeTable.to_schema().columns)
    told |= {
        "volume": "v",
        "series": "s",
        "study": "s",
        "patient": "p",
        "split": "train",
        "modality": "CT",
        "slices": 34,
    }
    frame = tables.frame_of([told | {"digest": digest, "file": file}], contracts.VolumeTable)
    (folder / "volumes").mkdir()
    tables.write_table(
        folder / "volumes" / "volumes.parquet", frame, contracts.VolumeTable, Fingerprint("volumes", 1, {}, {})
    )
    return SimpleNamespace(folder=folder, rows={row["image_id"]: row for row in rows}, values=values)


SCHEMA = ROOT / "workflow" / "anatomy" / "classes.yaml"


def export(site, form, out, *flags):
    arguments = ["export", form, "--images", str(site.folder / "shards"), "--out", str(out), "--schema", str(SCHEMA)]
    volumes = ["--volumes", str(site.folder / "volumes"), "--volume-store", str(site.folder)]
    assert main([*arguments, *volumes, *flags]) == 0
    return out


def shares_of(row, entity):
    """The box of an entity or structure as shares of its image."""
    sides = row["width"], row["height"], row["width"], row["height"]
    return [entity[key] / side for key, side in zip(("x_min", "y_min", "x_max", "y_max"), sides, strict=True)]


def test_hf_loads_in_datasets_with_its_splits_and_card(site, tmp_path):
    datasets = pytest.importorskip("datasets")
    out = export(site, "hf", tmp_path / "hf")
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {split: len(part) for split, part in loaded.items()} == {"train": 24, "validation": 4, "test": 6}
    assert all(set(part["split"]) == {split} for split, part in loaded.items())
    assert loaded["test"].features["structures"].feature["class_id"].int2str(5) == "liver"
    assert loaded["train"][0]["image"].size == (64, 64) and "# Card" in (out / "README.md").read_text()


def test_coco_returns_every_mask_and_every_caption(site, tmp_path):
    out = export(site, "coco", tmp_path / "coco")
    seen = 0
    for split in ("train", "validation", "test"):
        coco = COCO(str(out / "annotations" / f"instances_{split}.json"))
        for number, told in coco.imgs.items():
            row = site.rows[told["image_id"]]
            assert row["split"] == split
            assert Image.open(out / "images" / split / told["file_name"]).size == (row["width"], row["height"])
            for mine, theirs in zip(row["structures"], coco.loadAnns(coco.getAnnIds(number)), strict=True):
                mask = coco.annToMask(theirs).astype(bool)
                assert np.array_equal(mask, decode_mask(mine["rle"], row["height"], row["width"]))
                x, y, width, height = theirs["bbox"]
                ys, xs = np.nonzero(mask)
                assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == (x, y, x + width, y + height)
                assert theirs["area"] == mask.sum() and coco.cats[theirs["category_id"]]["name"] in {"liver", "spleen"}
            seen += 1
    captions = COCO(str(out / "annotations" / "captions_train.json"))
    assert seen == 34 and "Leber und Milz o.B." in {one["caption"] for one in captions.anns.values()}


def test_llava_turns_alternate_and_show_the_image_once(site, tmp_path):
    out = export(site, "llava", tmp_path / "llava")
    told = json.loads((out / "train.json").read_text())
    assert [one["id"] for one in told][:3] == ["i0000-de", "i0000-en", "i0001-en"]
    for one in told:
        turns = one["conversations"]
        assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
        assert [turn["value"].count("<image>") for turn in turns] == [1] + [0] * (len(turns) - 1)
        assert Image.open(out / one["image"]).size == (64, 64)
    liver = site.rows["i0001"]["captions"][0]["entities"][0]
    box = ", ".join(f"{liver[key] / 64:.3f}" for key in ("x_min", "y_min", "x_max", "y_max"))
    assert told[2]["conversations"][1]["value"].startswith(f"Liver [{box}] and spleen [")


def test_webdataset_reads_pictures_and_rows(site, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    out = export(site, "webdataset", tmp_path / "wds")
    samples = list(webdataset.WebDataset(str(out / "train-000000.tar"), shardshuffle=False).decode("pil"))
    assert len(samples) == 24
    for one in samples:
        row = site.rows[one["__key__"]]
        assert one["png"].size == (64, 64) and one["json"]["captions"] == row["captions"]
    again = export(site, "webdataset", tmp_path / "again")
    assert (again / "test-000000.tar").read_bytes() == (out / "test-000000.tar").read_bytes()


def answers(turns):
    return [turn["value"] for turn in turns if turn["from"] == "gpt"]


def json_boxes(text):
    """Label and box of each entry of the JSON lists in a text."""
    blocks = re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)
    return [(entry["label"], entry["bbox_2d"]) for block in blocks for entry in json.loads(block)]


@pytest.mark.parametrize(("form", "side", "steps"), [("qwen2.5-vl", 112, 112), ("qwen3-vl", 64, 1000)])
def test_qwen_has_boxes_as_json_in_the_unit_of_its_model(site, tmp_path, form, side, steps):
    out = export(site, form, tmp_path / "qwen")
    records = json.loads((out / "train.json").read_text())
    assert len(records) == 25 and all(record.keys() == {"id", "image", "conversations"} for record in records)
    for record in records:
        picture = Image.open(out / record["image"])
        assert picture.size == (side, side) and (form != "qwen2.5-vl" or side % 28 == 0)
        row = site.rows[record["id"][:5]]
        classes = {5: {"Liver", "liver", "Leber"}, 1: {"spleen", "Milz"}}
        boxes = json_boxes("\n".join(answers(record["conversations"])))
        for label, box in boxes:
            structure = next(one for one in row["structures"] if label in classes[one["class_id"]])
            shares = shares_of(row, structure)
            assert all(
                abs(value / steps - share) <= 0.5 / steps + 1e-9 for value, share in zip(box, shares, strict=True)
            )
        assert len(boxes) >= 3


def test_internvl_meta_leads_to_tagged_phrases(site, tmp_path):
    out = export(site, "internvl", tmp_path / "internvl")
    (meta,) = json.loads((out / "meta_train.json").read_text()).values()
    lines = Path(meta["annotation"]).read_text().splitlines()
    assert len(lines) == meta["length"] == 25 and meta["data_augment"] is False
    for record in map(json.loads, lines):
        assert Image.open(Path(meta["root"]) / record["image"]).size == (record["width"], record["height"])
        row = site.rows[record["id"][:5]]
        text = " ".join(turn["value"] for turn in record["conversations"])
        assert text.count("<image>") == 1 and text.startswith("<image>\n")
        (liver,) = [one for one in row["structures"] if one["class_id"] == 5]
        boxes = re.findall(r"<ref>(?:Liver|Leber|liver)</ref><box>\[\[([\d, ]+)\]\]</box>", text)
        expected = [round(share * 1000) for share in shares_of(row, liver)]
        assert boxes and all(list(map(int, box.split(", "))) == expected for box in boxes)


def test_llamafactory_lists_each_split_for_both_kinds_of_qwen(site, tmp_path):
    out = export(site, "llamafactory", tmp_path / "factory")
    info = json.loads((out / "dataset_info.json").read_text())
    assert set(info) == {
        f"refrad_{split}_qwen{model}_vl" for split in ("train", "validation", "test") for model in ("2_5", "3")
    }
    for entry in info.values():
        assert entry["formatting"] == "sharegpt" and entry["tags"]["role_tag"] == "from"
        for record in json.loads((out / entry["file_name"]).read_text()):
            turns = record[entry["columns"]["messages"]]
            assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
            images = record[entry["columns"]["images"]]
            assert "".join(turn["value"] for turn in turns).count("<image>") == len(images) == 1
            assert Image.open(out / images[0]).size == (112, 112)
    both = [json.loads((out / f"train_{model}.json").read_text()) for model in ("qwen2_5_vl", "qwen3_vl")]
    for px, thousandths in zip(*both, strict=True):
        texts = [" ".join(answers(record["conversations"])) for record in (px, thousandths)]
        for (label, in_px), (same, in_thousandths) in zip(*map(json_boxes, texts), strict=True):
            assert label == same
            assert all(
                abs(a / 112 - b / 1000) <= 0.5 / 112 + 0.5 / 1000 + 1e-9
                for a, b in zip(in_px, in_thousandths, strict=True)
            )


def test_swift_places_match_their_names_and_boxes(site, tmp_path):
    out = export(site, "swift", tmp_path / "swift")
    for line in (out / "train.jsonl").read_text().splitlines():
        record = json.loads(line)
        text = "".join(message["content"] for message in record["messages"])
        objects = record["objects"]
        assert [m["role"] for m in record["messages"]] == ["user", "assistant"] * (len(record["messages"]) // 2)
        assert text.count("<image>") == len(record["images"]) == 1 and Path(record["images"][0]).is_absolute()
        assert text.count("<ref-object>") == len(objects["ref"]) and text.count("<bbox>") == len(objects["bbox"])
        assert objects["bbox_type"] == "norm1"
        row = site.rows[Path(record["images"][0]).stem]
        assert {tuple(box) for box in objects["bbox"]} == {tuple(shares_of(row, one)) for one in row["structures"]}


def test_swift_and_internvl_lines_load_in_datasets(site, tmp_path):
    datasets = pytest.importorskip("datasets")
    for form in ("swift", "internvl"):
        out = export(site, form, tmp_path / form)
        loaded = datasets.load_dataset("json", data_files=str(out / "train.jsonl"), cache_dir=str(tmp_path / "cache"))
        assert len(loaded["train"]) == 25


@pytest.mark.parametrize("form", ["llava", "qwen2.5-vl", "swift"])
def test_full_pictures_keep_the_aspect_and_their_boxes(schema, tmp_path, form):
    row = image_row(0, "train", np.random.default_rng(0)) | {"width": 320, "height": 160}
    write_shard(tmp_path / "images.parquet", [row], schema, Fingerprint("shards", 2, {}, {}))
    folder = tmp_path / "out"
    arguments = ["--images", str(tmp_path / "images.parquet"), "--out", str(folder), "--schema", str(SCHEMA)]
    assert main(["export", form, *arguments, "--pictures", "full"]) == 0
    size = Image.open(folder / "images" / "train" / "i0000.png").size
    assert size == ((308, 168) if form == "qwen2.5-vl" else (320, 160))


def resized_by_qwen(side):
    """The side that the processor of Qwen2.5-VL gives a square picture: a multiple of 28 px, 112 to 3,584 px in all."""
    return min(max(round(side / 28) * 28, 112), 3584)


@pytest.mark.parametrize("side", [20, 41, 64, 112, 224, 300, 448, 896])
def test_qwen2_5_pictures_are_not_resized_by_its_processor(schema, tmp_path, side):
    rows = list(rows_in(["png"], count=1))
    picture = Image.open(io.BytesIO(rows[0]["image"]["bytes"])).resize((side, side))
    rows[0]["image"] = {"bytes": png_bytes(np.asarray(picture)), "path": None}
    out, _ = export_rows(rows, schema, tmp_path, "qwen2.5-vl")
    (path,) = (out / "images" / "test").iterdir()
    width, height = Image.open(path).size
    assert width == height == resized_by_qwen(width)


def test_fiftyone_documents_have_masks_of_their_boxes(site, tmp_path):
    out = export(site, "fiftyone", tmp_path / "fiftyone")
    samples = json.loads((out / "samples.json").read_text())["samples"]
    fields = {field["name"] for field in json.loads((out / "metadata.json").read_text())["sample_fields"]}
    assert len(samples) == 34 and len({sample["_id"]["$oid"] for sample in samples}) == 34
    for sample in samples:
        row = site.rows[sample["image_id"]]
        assert sample["tags"] == [row["split"]] and sample.keys() - fields == {"_id", "_media_type", "_rand"}
        assert Image.open(out / sample["filepath"]).size == (row["width"], row["height"])
        for structure, detection in zip(row["structures"], sample["structures"]["detections"], strict=True):
            data = zlib.decompress(base64.b64decode(detection["mask"]["$binary"]["base64"]))
            x, y, width, height = (value * 64 for value in detection["bounding_box"])
            mask = np.zeros((64, 64), bool)
            mask[round(y) : round(y + height), round(x) : round(x + width)] = np.load(io.BytesIO(data))
            assert np.array_equal(mask, decode_mask(structure["rle"], 64, 64))
    assert "Leber und Milz o.B." in samples[0]["sentences_de"]
    assert "Liver" in {phrase["phrase"] for phrase in samples[0]["phrases"]["detections"]}


def test_fiftyone_labels_are_read_by_fiftyone(site, tmp_path):
    labels = pytest.importorskip("fiftyone.core.labels")
    from bson import json_util

    out = export(site, "fiftyone", tmp_path / "fiftyone")
    for sample in json_util.loads((out / "samples.json").read_text())["samples"]:
        detections = labels.Detections.from_dict(sample["structures"]).detections
        assert [one.mask.sum() for one in detections] == [one.area for one in detections]


def test_authors_layout_holds_hounsfield_units_and_runs_in_the_loaders(site, tmp_path, monkeypatch):
    out = export(site, "authors", tmp_path / "authors")
    monkeypatch.chdir(tmp_path)
    loaders = PaperLoaders(out)
    assert loaders.snippets("train") == {"s0": ["i0000"]}
    assert loaders.snippets("val") == loaders.snippets("test") == {}
    row = site.rows["i0000"]
    values = site.values[:, :, row["index"]].T
    assert np.array_equal(loaders.image("i0000"), values)
    ((name, picture, _),) = loaders.visible("train")
    assert name == "i0000" and np.array_equal(picture, values)
    assert loaders.boxed("i0000") and loaders.questions("i0000", "german") and loaders.questions("i0000", "english")
    assert loaders.report("i0000", "german") == (["", "pain"], "Leber und Milz o.B.")
    tagged, boxes = loaders.detection("i0000", "english")
    assert tagged == "<box 5>Liver</box> and <box 1>spleen</box> are normal."
    for class_id, mask in loaders.masks("i0000", "english").items():
        ys, xs = np.nonzero(mask)
        assert boxes[class_id] == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_authors_without_a_translator_are_refused_with_the_remedy(schema, tmp_path, capsys):
    write_shard(tmp_path / "images.parquet", rows_in(["png"]), schema, Fingerprint("shards", 2, {}, {}))
    assert main(["export", "authors", "--images", str(tmp_path / "images.parquet"), "--out", str(tmp_path / "x")]) == 1
    assert "captions.translate: llm" in capsys.readouterr().err and not (tmp_path / "x").exists()


@pytest.mark.parametrize("form", list(EXPORTERS))
def test_export_goes_into_an_empty_folder_only(site, tmp_path, form, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    arguments = ["export", form, "--images", str(site.folder / "shards"), "--out", str(tmp_path)]
    assert main(arguments) == 1
    assert "is not empty" in capsys.readouterr().err and [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("command", [["export", "coco"], ["export", "hf"], ["audit"]], ids=" ".join)
def test_empty_dataset_is_refused_and_leaves_no_folder(schema, tmp_path, command, capsys):
    write_shard(tmp_path / "images.parquet", [], schema, Fingerprint("shards", 2, {}, {}))
    assert main([*command, "--images", str(tmp_path / "images.parquet"), "--out", str(tmp_path / "x")]) == 1
    assert "the dataset holds no" in capsys.readouterr().err and not (tmp_path / "x").exists()


@pytest.mark.parametrize("form", list(EXPORTERS))
def test_counts_terms_and_card_travel_with_each_export(site, tmp_path, form):
    out = export(site, form, tmp_path / "out")
    assert (out / "README.md").is_file() and "# Terms" in (out / "TERMS.md").read_text()
    assert "# Card" in (out / "CARD.md").read_text()
    counts = json.loads((out / "export.json").read_text())
    for unit, delivered in counts["delivered"].items():
        left_out = sum(entry["count"] for entry in counts["left_out"] if entry["unit"] == unit)
        assert delivered == counts["written"].get(unit, 0) + left_out


def test_page_has_each_format_and_how_it_is_opened(root):
    page = (root / "docs" / "dataset.md").read_text(encoding="utf-8").split("## Exports")[1]
    table = [line for line in page.splitlines() if line.startswith("| `") and line.count("|") == 5]
    formats = EXPORTERS.items()
    assert table == [f"| `{name}` | {one.sentence} | {one.opened_by} | `{one.opening}` |" for name, one in formats]


@pytest.mark.parametrize("form", ["hf", "coco", "webdataset"])
def test_documented_line_opens_the_export(site, tmp_path, form, monkeypatch):
    datasets, webdataset = pytest.importorskip("datasets"), pytest.importorskip("webdataset")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    out = export(site, form, tmp_path / "out")
    line = EXPORTERS[form].opening.replace("FOLDER", str(out))
    opened = eval(line, {"datasets": datasets, "COCO": COCO, "webdataset": webdataset})
    assert len(opened["train"] if form == "hf" else opened.imgs if form == "coco" else list(opened)) == 24


@pytest.mark.parametrize("form", ["llava", "qwen2.5-vl", "qwen3-vl", "internvl", "llamafactory", "swift", "authors"])
def test_documented_line_names_what_is_there(site, tmp_path, form):
    out = export(site, form, tmp_path / "out")
    paths = re.findall(r'FOLDER[^" ]*', EXPORTERS[form].opening)
    assert paths and all(Path(path.replace("FOLDER", str(out))).exists() for path in paths)


def test_failed_export_leaves_nothing(site, tmp_path, monkeypatch):
    def fail(_, out):
        (out / "half.txt").write_text("half")
        raise ValueError("no space")

    monkeypatch.setitem(EXPORTERS, "half", ExportFormat("", "", "", fail))
    assert main(["export", "half", "--images", str(site.folder / "shards"), "--out", str(tmp_path / "half")]) == 1
    assert not list(tmp_path.iterdir())


def test_usage_lists_each_format_with_its_sentence(capsys):
    assert main(["export", "--help"]) == 0
    usage = " ".join(capsys.readouterr().out.split())
    assert all(f"{name}: {entry.sentence}." in usage for name, entry in EXPORTERS.items())


def rows_in(formats, count=2, **changes):
    """Rows of one split with the pictures of `formats` only."""
    for number in range(count):
        row = image_row(number, "test", np.random.default_rng(number)) | {"study": "s"} | changes
        png = row.pop("image")
        picture = np.asarray(Image.open(io.BytesIO(png["bytes"]))).transpose(2, 0, 1)
        columns = {"png": {"image": png}, "raw": {"pixels": encode_pixels(picture)}, "full": {"image_full": png}}
        yield row | {key: value for form in formats for key, value in columns[form].items()}


CHAT = ("llava", "qwen2.5-vl", "qwen3-vl", "internvl", "llamafactory", "swift")
WITHOUT_VOLUMES = ("hf", "coco", "fiftyone", "webdataset", *CHAT)


def export_rows(rows, schema, folder, form, formats=("png",)):
    """The export of some rows, and its counts."""
    write_shard(folder / "images.parquet", rows, schema, Fingerprint("shards", 2, {}, {}), formats=formats)
    arguments = ["--images", str(folder / "images.parquet"), "--out", str(folder / "out"), "--schema", str(SCHEMA)]
    assert main(["export", form, *arguments]) == 0
    return folder / "out", json.loads((folder / "out" / "export.json").read_text())


@pytest.mark.parametrize("lack", ["structures", "captions", "questions"])
@pytest.mark.parametrize("form", WITHOUT_VOLUMES)
def test_images_that_lack_a_part_are_exported(schema, tmp_path, form, lack):
    _, counts = export_rows(rows_in(["png"], **{lack: []}), schema, tmp_path, form)
    assert counts["written"]["images"] == 2


@pytest.mark.parametrize("formats", [("png",), ("raw",), ("png", "full"), ("raw", "full")], ids="+".join)
@pytest.mark.parametrize("form", WITHOUT_VOLUMES)
def test_any_format_of_pictures_is_exported(schema, tmp_path, form, formats):
    _, counts = export_rows(rows_in(formats), schema, tmp_path, form, formats)
    assert counts["written"]["images"] == 2 and counts["written"]["phrases"] == 4


@pytest.mark.parametrize("form", WITHOUT_VOLUMES)
def test_repeated_phrase_is_exported_once(schema, tmp_path, form):
    rows = list(rows_in(["png"]))
    rows[0]["captions"][0]["entities"] += rows[0]["captions"][0]["entities"]
    _, counts = export_rows(rows, schema, tmp_path, form)
    assert counts["delivered"]["phrases"] == 6 and counts["written"]["phrases"] == 4


@pytest.mark.parametrize("form", WITHOUT_VOLUMES)
def test_same_image_in_two_deliveries_has_two_names(schema, tmp_path, form):
    rows = list(rows_in(["png"])) + [row | {"captions": []} for row in rows_in(["png"], count=1)]
    out, counts = export_rows(rows, schema, tmp_path, form)
    assert counts["written"]["images"] == 3
    pictures = list(out.rglob("*.png"))
    assert not pictures or len(pictures) == 3


@pytest.mark.parametrize("form", CHAT)
def test_image_without_a_word_is_left_out_and_counted(schema, tmp_path, form):
    _, counts = export_rows(rows_in(["png"], captions=[], questions=[]), schema, tmp_path, form)
    assert counts["written"]["images"] == 0
    assert {entry["unit"]: entry["count"] for entry in counts["left_out"]}["images"] == 2


def test_image_ids_become_safe_names(schema, tmp_path):
    rows = [row | {"image_id": name} for row, name in zip(rows_in(["png"]), ("../a.b", "..-a:B"), strict=True)]
    out, _ = export_rows(rows, schema, tmp_path, "coco")
    names = sorted(path.name for path in (out / "images" / "test").iterdir())
    assert names == ["__-a_B.png", "___a_b.png"]


def test_export_refuses_a_patient_in_two_splits(images, tmp_path, capsys):
    table = pq.read_table(images)
    same = pa.array(["p"] * len(table), table.schema.field("patient").type)
    pq.write_table(
        table.set_column(table.schema.get_field_index("patient"), table.schema.field("patient"), same),
        tmp_path / "i.parquet",
    )
    assert main(["export", "hf", "--images", str(tmp_path / "i.parquet"), "--out", str(tmp_path / "x")]) == 1
    assert "1 patients" in capsys.readouterr().err and not (tmp_path / "x").exists()


def test_unknown_format_is_refused_with_the_known_ones(tmp_path, capsys):
    assert main(["export", "nifti", "--images", str(tmp_path)]) == 1
    assert ", ".join(EXPORTERS) in capsys.readouterr().err


def test_new_format_is_one_line_of_the_registry(site, tmp_path, monkeypatch):
    def export_ids(source, out):
        for split in source.splits:
            rows = list(source.rows(split))
            (out / f"{split}.txt").write_text("\n".join(row["image_id"] for row in rows))
            for row in rows:
                source.tally.write_row(row)

    monkeypatch.setitem(EXPORTERS, "ids", ExportFormat("image ids", "people", "cat FOLDER/*.txt", export_ids))
    out = export(site, "ids", tmp_path / "ids")
    ids = [line for split in ("train", "validation", "test") for line in (out / f"{split}.txt").read_text().split()]
    assert sorted(ids) == sorted(site.rows)


def test_webdataset_rows_are_json_without_pictures(site, tmp_path):
    out = export(site, "webdataset", tmp_path / "wds")
    with tarfile.open(out / "train-000000.tar") as tar:
        rows = [json.load(tar.extractfile(name)) for name in tar.getnames() if name.endswith(".json")]
    assert len(rows) == 24 and not any({"image", "pixels", "sketch"} & row.keys() for row in rows)
    assert all(row["captions"] == site.rows[row["image_id"]]["captions"] for row in rows)
