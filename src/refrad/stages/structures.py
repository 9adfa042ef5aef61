"""Find the classes in every slice, with area and box, from the label volumes."""

import logging
from pathlib import Path

from refrad.anatomy.schema import load_schema
from refrad.config import StructuresOptions
from refrad.fingerprint import Fingerprint
from refrad.imaging.labels import load_labels
from refrad.imaging.structures import OutlierRule, find_structures
from refrad.tables import MaskTable, SliceTable, StructureTable, VolumeTable, frame_of, read_table, write_table
from refrad.tally import Tally

__all__ = ["run"]

VERSION = 1

logger = logging.getLogger(__name__)


def run(
    *,
    slices: Path,
    volumes: Path,
    masks: Path,
    mask_store: Path,
    schema: Path,
    structures: Path,
    metrics: Path,
    fingerprint: Fingerprint,
) -> None:
    """Find the structures of one shard, one volume in memory at a time."""
    options = StructuresOptions.model_validate(fingerprint.options)
    rule = OutlierRule(options.minimum_area_mm2, options.minimum_share)
    anatomy = load_schema(schema)
    luts = {task: anatomy.native_lut(task) for task in ("total", "total_mr")}
    tally = Tally("slices")
    labelled = read_table(masks, MaskTable).join(
        read_table(volumes, VolumeTable).drop("digest", "file", "reason"), on="volume"
    )
    places = read_table(slices, SliceTable).partition_by("volume", as_dict=True)
    rows = []
    for volume in labelled.iter_rows(named=True):
        instances = dict(places.pop((volume["volume"],)).select("index", "instance").rows())
        tally.take(len(instances))
        if volume["reason"]:
            tally.put_aside("no_mask", len(instances))
            continue
        spacing = (volume["spacing_x"], volume["spacing_y"])
        with tally.timed("structures"):
            found = find_structures(load_labels(mask_store / volume["file"]), luts[volume["task"]], spacing, rule)
        filled = {one.index for one in found}
        tally.use(len(filled))
        tally.put_aside("no_structure", len(instances) - len(filled))
        for one in found:
            area = one.area * spacing[0] * spacing[1]
            rows.append(vars(one) | {"instance": instances[one.index], "volume": volume["volume"], "area_mm2": area})
            tally.add(f"class in {volume['modality']}", anatomy.by_id[one.class_id].name)
    for left in places.values():  # slices of volumes that masks knows nothing of
        tally.take(len(left))
        tally.put_aside("no_mask", len(left))
    tally.make("structures", len(rows))
    frame = frame_of(rows, StructureTable).sort("volume", "index", "class_id", maintain_order=True)
    write_table(structures, frame, StructureTable, fingerprint)
    tally.write(metrics, fingerprint)
    logger.info("%d structures in %d slices", len(rows), tally.used)
