"""The config of a site that is one public set."""

from pathlib import Path
from typing import Any

from refrad.config.public_sets import PublicSet
from refrad.public_sets.base import SetTables

__all__ = ["MASKS", "REPORTS", "VOLUMES", "WEIGHTS", "site_config"]

VOLUMES, REPORTS, MASKS = "volumes.parquet", "reports.parquet", "masks.csv"  # in the folder of tables
WEIGHTS = "/path/to/totalsegmentator/nnunet/results"  # to be filled in
PATIENTS_A_SHARD = 256
MOST_SHARDS = 1000


def site_config(public_set: PublicSet, tables: SetTables, folder: Path) -> dict[str, Any]:
    """The keys of a config, over those of config.yaml, of a site with the set as its delivery.

    Args:
        public_set: line of the registry.
        tables: of the set.
        folder: with the tables `VOLUMES`, `REPORTS`, and `MASKS` if there are masks.
    """
    patients = len({entry.patient for entry in tables.volumes})
    has_masks = bool(tables.masks)
    delivery = {
        "name": public_set.name,
        "volumes": {"folder": str(tables.folder.absolute()), "table": str(folder / VOLUMES)},
        "reports": str(folder / REPORTS),
        "references": None,
        "masks": str(tables.mask_folder.absolute()) if has_masks and tables.mask_folder else None,
        "mask_table": str(folder / MASKS) if has_masks else None,
        "public_set": public_set.name,
        "shards": min(max(-(-patients // PATIENTS_A_SHARD), 1), MOST_SHARDS),
    }
    config: dict[str, Any] = {
        "deliveries": [delivery],
        "privacy": {"key": "private/key", "folder": "private"},
        "masks": {"segmenter": "precomputed"}
        if has_masks
        else {"segmenter": "totalsegmentator", "variant": "total", "weights": WEIGHTS, "device": "gpu"},
        "card": {
            "title": f"Grounded slices of {public_set.title}",
            "creator": f"a user of RefRad, from data of {public_set.citations[0]}",
            "terms": public_set.describe_terms(),
        },
        "train": {"name": public_set.name},
    }
    if public_set.reports_of_masks:
        config["train"]["model"] = None  # no patient may test it
    if has_masks:  # a mask of the wrong side or of another volume is worse than none
        config["structures"] = {"implausible": {"sides": "quarantine", "elsewhere": "quarantine"}}
    return config
