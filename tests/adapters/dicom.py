"""The adapter of ../shared/cases/dicom/run_cases.py, whose `run_project` composes fingerprints under the module's former name.

Stage copies runs after index and volumes: on all volumes, whose copies are counted, and on those of each patient, whose copies are left
out. Several made-up patients of one case have the same pixels.
"""

import json
import sys
from types import SimpleNamespace

from refrad.workflow import fingerprint

sys.modules["refrad.fingerprint"] = SimpleNamespace(compose=fingerprint.compose)
run_index_and_volumes = run_project  # noqa: F821 - of the module into which this text is read


def run_project(dicom, out):
    """Run index, volumes and copies, and read what they made."""
    from refrad.core.contracts import VolumeTable
    from refrad.core.tables import read_table

    result = run_index_and_volumes(dicom, out)
    volumes = read_table(out / "volumes.parquet", VolumeTable)
    result.metrics["copies"], _ = find_copies(volumes, out)
    copies = {name for patient in volumes.partition_by("patient") for name in find_copies(patient, out)[1]}
    used = []
    accepted = volumes.filter(volumes["reason"].is_null())["volume"]
    for name, volume in zip(accepted, result.volumes, strict=True):
        if name in copies:
            result.aside.update(dict.fromkeys([place[:2] for place in volume.slices], "duplicate"))
        else:
            used.append(volume)
    return result._replace(volumes=used)


def find_copies(volumes, out):
    """The metrics of stage copies on these volumes, and the copies that it leaves out."""
    import polars as pl
    import yaml

    from refrad.core.contracts import CaptionTable, CopyTable, VolumeTable
    from refrad.core.tables import frame_of, read_table, write_table
    from refrad.stages import copies

    options = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["copies"]  # noqa: F821
    stamp = fingerprint.compose("copies", options, {})
    folder = out / "copies"
    folder.mkdir(exist_ok=True)
    paths = {name: folder / f"{name}.parquet" for name in ("volumes", "captions", "copies")}
    write_table(paths["volumes"], volumes, VolumeTable, stamp)
    write_table(paths["captions"], frame_of([], CaptionTable), CaptionTable, stamp)
    copies.run(
        volumes=[paths["volumes"]],
        captions=[paths["captions"]],
        shards=1,
        volume_store=out / "store",
        copies=paths["copies"],
        metrics=folder / "metrics.json",
        fingerprint=stamp,
    )
    table = read_table(paths["copies"], CopyTable).filter(pl.col("reason").is_not_null())
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8")), table["volume"].to_list()
