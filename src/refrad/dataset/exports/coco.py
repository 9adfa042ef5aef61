"""COCO: instances with boxes and run-length masks, and captions, a file of each for each split."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from refrad.core.files import atomic, write_json
from refrad.dataset.exports.image_files import on_grid

__all__ = ["export"]


def export(rows: Iterable[Mapping[str, Any]], names: Mapping[int, str], split: str, out: Path) -> None:
    """Write `annotations/instances_<split>.json`, `annotations/captions_<split>.json` and `images/<split>/*.png`.

    Boxes are [x, y, width, height] in px of the DICOM image, whose size the pictures have. Annotations of a split are held
    in memory, as all tools of COCO do.
    """
    images: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        height, width = row["height"], row["width"]
        name = f"{row['image_id']}.png"
        with atomic(out / "images" / split / name) as temporary:
            on_grid(row).save(temporary, format="PNG", compress_level=1)
        images.append({"id": number, "file_name": name, "width": width, "height": height, "image_id": row["image_id"]})
        for one in row["structures"]:
            box = [one["x_min"], one["y_min"], one["x_max"] - one["x_min"], one["y_max"] - one["y_min"]]
            instances.append(
                {"id": len(instances) + 1, "image_id": number, "category_id": one["class_id"], "bbox": box}
                | {"area": one["area"], "iscrowd": 0}
                | {"segmentation": {"size": [height, width], "counts": one["rle"]}}
            )
        for one in row["captions"]:
            told = {"caption": one["text"], "language": one["language"], "entities": one["entities"]}
            captions.append({"id": len(captions) + 1, "image_id": number} | told)
    about = {"info": {"description": "made by RefRad; class ids as in the class schema"}, "licenses": []}
    categories = [
        {"id": class_id, "name": name, "supercategory": "anatomy"} for class_id, name in sorted(names.items())
    ]
    shared = about | {"images": images}
    write_json(
        out / "annotations" / f"instances_{split}.json", shared | {"annotations": instances, "categories": categories}
    )
    write_json(out / "annotations" / f"captions_{split}.json", shared | {"annotations": captions})
