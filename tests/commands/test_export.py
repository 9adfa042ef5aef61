"""Each export is opened by the tool that it is for."""

import io
import json
import tarfile
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
import zstandard
from PIL import Image
from pycocotools.coco import COCO

from refrad.cli import main
from refrad.core import contracts, tables
from refrad.dataset.exports import EXPORTERS
from refrad.dataset.image_codec import decode_mask
from refrad.dataset.shard_io import read_rows, write_shard
from refrad.dicom.volume_store import store_volume
from refrad.workflow.fingerprint import Fingerprint

GERMAN = {"caption": "d", "language": "de", "text": "Leber und Milz o.B.", "tie": "structure"}


@pytest.fixture(scope="module")
def site(tmp_path_factory, images, schema):
    """A dataset of 34 images whose splits share no patient, a sentence in two languages and one more, and its volume."""
    folder = tmp_path_factory.mktemp("site")
    rows = [row | {"patient": row["split"], "study": row["split"]} for row in read_rows([images])]
    first = rows[0]["captions"][0]
    german = first | GERMAN | {"entities": [first["entities"][0] | {"start": 0, "end": 5, "text": "Leber"}]}
    rows[0]["captions"] += [
        german,
        first | {"caption": "x", "sentence": "second", "text": "Liver and more.", "entities": first["entities"][:1]},
    ]
    path = folder / "shards" / "a" / "0" / "images.parquet"
    write_shard(path, rows, schema, Fingerprint("shards", 2, {}, {}))
    (folder / "shards" / "README.md").write_text("---\npretty_name: Card\nconfigs: []\n---\n\n# Card\n")
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


def export(site, form, out):
    arguments = ["export", form, "--images", str(site.folder / "shards"), "--out", str(out)]
    assert main([*arguments, "--volumes", str(site.folder / "volumes"), "--volume-store", str(site.folder)]) == 0
    return out


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


def test_authors_layout_joins_by_id_and_holds_hounsfield_units(site, tmp_path):
    out = export(site, "authors", tmp_path / "authors")
    frame = pl.read_parquet(out / "dataset.parquet")
    segments = json.loads((out / "rsopid_2_segment_v3_ct.json").read_text())
    assert set(frame["rsopid"]) == set(segments) == {*site.rows, "i0000-1"}
    for rsopid, told in segments.items():
        row = site.rows[rsopid[:5]]
        data = zstandard.decompress((out / "images" / rsopid[:2] / f"{rsopid}.dcm.zst").read_bytes())
        dicom = pydicom.dcmread(io.BytesIO(data))
        assert np.array_equal(dicom.pixel_array, site.values[:, :, row["index"]].T)
        labels = np.load(out / told["segment_slice_path"])
        x_min, y_min, x_max, y_max, class_id = told["bboxes"][0]
        assert (labels[y_min:y_max, x_min:x_max] == class_id).all()
    assert segments["i0000"]["keywords_de"] == [["Leber", "liver", 5]]
    assert segments["i0000"]["keywords_eng"] == [["Liver", "liver", 5], ["spleen", "spleen", 1]]
    both = frame.row(by_predicate=pl.col("rsopid") == "i0000", named=True)
    assert (
        both["german"]["CleanedSentence"] == "Leber und Milz o.B." and both["english"]["dicom_vqa"][0]["answer"] == "CT"
    )
    snippets = json.loads((out / "filtered_ct_splits" / "snippet2rsopids_train_ct_only.json").read_text())
    assert snippets["second"] == ["i0000-1"] and sum(map(len, snippets.values())) == 25


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
    assert "hf, coco, llava, webdataset, authors" in capsys.readouterr().err


def test_new_format_is_one_line_of_the_registry(site, tmp_path, monkeypatch):
    def export_ids(source, out):
        out.mkdir()
        for split in source.splits:
            (out / f"{split}.txt").write_text("\n".join(row["image_id"] for row in source.rows(split)))

    monkeypatch.setitem(EXPORTERS, "ids", export_ids)
    out = export(site, "ids", tmp_path / "ids")
    ids = [line for split in ("train", "validation", "test") for line in (out / f"{split}.txt").read_text().split()]
    assert sorted(ids) == sorted(site.rows)


def test_webdataset_rows_are_json_without_pictures(site, tmp_path):
    out = export(site, "webdataset", tmp_path / "wds")
    with tarfile.open(out / "train-000000.tar") as tar:
        rows = [json.load(tar.extractfile(name)) for name in tar.getnames() if name.endswith(".json")]
    assert len(rows) == 24 and not any({"image", "pixels", "sketch"} & row.keys() for row in rows)
    assert all(row["captions"] == site.rows[row["image_id"]]["captions"] for row in rows)
