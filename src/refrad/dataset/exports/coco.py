"""COCO: instances with boxes and run-length masks, and captions, one file of each per split."""

from pathlib import Path
from typing import TypedDict

from refrad.core.files import atomic, write_json
from refrad.dataset.exports.image_files import image_on_grid
from refrad.dataset.exports.source import ExportSource, FileNames
from refrad.dataset.shard_rows import EntityStruct

__all__ = ["export"]

NO_QUESTIONS = "COCO has no place for questions and answers"


class _Image(TypedDict):
    id: int
    file_name: str
    width: int
    height: int
    image_id: str
    license: int


class _RunLengths(TypedDict):
    size: list[int]
    counts: str


class _Instance(TypedDict):
    id: int
    image_id: int
    category_id: int
    bbox: list[int]
    area: int
    iscrowd: int
    segmentation: _RunLengths


class _Caption(TypedDict):
    id: int
    image_id: int
    caption: str
    language: str
    entities: list[EntityStruct]


def export(source: ExportSource, out: Path) -> None:
    """Write `annotations/instances_<split>.json`, `annotations/captions_<split>.json` and `images/<split>/*.png`.

    Boxes are [x, y, width, height] in px of the DICOM image; the images have the size of the DICOM image. The annotations of a
    split are held in memory, since COCO is one JSON file.
    """
    names = FileNames()
    for split in source.splits:
        _export_split(source, split, out, names)


def _export_split(source: ExportSource, split: str, out: Path, names: FileNames) -> None:
    images: list[_Image] = []
    instances: list[_Instance] = []
    captions: list[_Caption] = []
    licenses: dict[str | None, int] = {entry.name: number for number, entry in enumerate(source.sets, 2)}
    for number, row in enumerate(source.rows(split), 1):
        source.tally.write_row(row, questions=NO_QUESTIONS)
        height, width = row["height"], row["width"]
        name = f"{names.name(row['image_id'])}.png"
        with atomic(out / "images" / split / name) as temporary:
            image_on_grid(row).save(temporary, format="PNG", compress_level=1)
        images.append(
            {
                "id": number,
                "file_name": name,
                "width": width,
                "height": height,
                "image_id": row["image_id"],
                "license": licenses.get(row.get("public_set"), 1),
            }
        )
        for structure in row["structures"]:
            x, y = structure["x_min"], structure["y_min"]
            instances.append(
                {
                    "id": len(instances) + 1,
                    "image_id": number,
                    "category_id": structure["class_id"],
                    "bbox": [x, y, structure["x_max"] - x, structure["y_max"] - y],
                    "area": structure["area"],
                    "iscrowd": 0,
                    "segmentation": {"size": [height, width], "counts": structure["rle"]},
                }
            )
        for caption in row["captions"]:
            captions.append(
                {
                    "id": len(captions) + 1,
                    "image_id": number,
                    "caption": caption["text"],
                    "language": caption["language"],
                    "entities": caption["entities"],
                }
            )
    info = {
        "info": {"description": "made by RefRad; class ids as in the class schema"},
        "licenses": [
            {"id": 1, "name": source.licence, "url": ""},
            *(
                {"id": licenses[entry.name], "name": f"{entry.title}: {entry.describe_terms()}", "url": entry.address}
                for entry in source.sets
            ),
        ],
    }
    categories = [
        {"id": class_id, "name": name, "supercategory": "anatomy"}
        for class_id, name in sorted(source.class_names.items())
    ]
    shared = info | {"images": images}
    folder = out / "annotations"
    write_json(folder / f"instances_{split}.json", shared | {"annotations": instances, "categories": categories})
    write_json(folder / f"captions_{split}.json", shared | {"annotations": captions})
