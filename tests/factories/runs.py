"""Stages over a delivery: up to captions in the working directory, and up to volumes for a public set."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.factories.options import fingerprint

from refrad.config import VolumeFiles
from refrad.core.contracts import CopyTable, InstanceTable, VolumeTable
from refrad.core.tables import frame_of, read_table, write_table
from refrad.dicom.volume_store import read_volume
from refrad.nifti.volume_list import write_entries
from refrad.privacy.pseudonyms import FileTable
from refrad.public_sets.base import SetTables
from refrad.stages import captions, index, volumes

__all__ = ["run_to_captions", "volumes_of_set"]


def run_to_captions(delivery: str, images: Mapping[str, Any], reports: Path, key: Path, shards: int) -> list[Path]:
    """Stages index, volumes and captions of a delivery, and an empty table of copies.

    Returns the table of volumes of each shard.

    Args:
        delivery: its name.
        images: the flag of the stages that names its images, `dicom` or `volume_files`.
        reports: its table of reports.
        key: file of the secret key.
        shards: their number.
    """
    private, results = Path("private", delivery), Path("results")
    files, instances = private / "files.parquet", results / "index" / delivery / "instances.parquet"
    shared = {"files": files, "instances": instances, "key": key}
    index.run(
        **images,
        reports=reports,
        shards=shards,
        persons=private / "persons.parquet",
        metrics=instances.with_name("metrics.json"),
        fingerprint=fingerprint("index"),
        **shared,
    )
    copies = results / "copies" / delivery / "copies.parquet"
    write_table(copies, frame_of([], CopyTable), CopyTable, fingerprint("copies"))
    for shard in range(shards):
        made, spoken = (results / stage / delivery / str(shard) for stage in ("volumes", "captions"))
        volumes.run(
            **images,
            shard=shard,
            store=Path("stores/volumes"),
            volumes=made / "volumes.parquet",
            slices=made / "slices.parquet",
            metrics=made / "metrics.json",
            fingerprint=fingerprint("volumes"),
            **shared,
        )
        captions.run(
            reports=reports,
            lexicon=Path("workflow/anatomy/lexicon.yaml"),
            schema=Path("workflow/anatomy/classes.yaml"),
            shard=shard,
            captions=spoken / "captions.parquet",
            image_references=spoken / "references.parquet",
            metrics=spoken / "metrics.json",
            fingerprint=fingerprint("captions"),
            **shared,
        )
    return [results / "volumes" / delivery / str(shard) / "volumes.parquet" for shard in range(shards)]


def volumes_of_set(delivered: SetTables, out: Path, key: Path) -> tuple[list[Any], dict[str, Any]]:
    """Stages index and volumes over a public set.

    Returns array, affine and row of each volume, the row with the keys study_uid and series_uid; and the metrics of stage volumes.

    Args:
        delivered: the set as tables.
        out: folder of tables and store; its name is that of the delivery.
        key: file of the secret key.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_entries(out / "entries.parquet", delivered.volumes)
    section = VolumeFiles(folder=str(delivered.folder), table=str(out / "entries.parquet")).model_dump_json()
    tables = {name: out / f"{name}.parquet" for name in ("instances", "files")}
    shared = {**tables, "volume_files": section, "key": key}
    index.run(
        **shared,
        reports=out,
        metrics=out / "index.json",
        fingerprint=fingerprint("index", memory_gb=4.0),
        shards=1,
    )
    volumes.run(
        **shared,
        shard=0,
        store=out / "store",
        volumes=out / "volumes.parquet",
        slices=out / "slices.parquet",
        metrics=out / "volumes.json",
        fingerprint=fingerprint("volumes", memory_gb=4.0),
    )
    keys = read_table(out / "files.parquet", FileTable).select("file", "study_uid", "series_uid")
    instances = read_table(out / "instances.parquet", InstanceTable).select("file", "volume")
    rows = read_table(out / "volumes.parquet", VolumeTable)
    of_files = instances.join(keys, on="file").select("volume", "study_uid", "series_uid")
    stored = [
        (*read_volume(out / "store" / row["file"]), row)
        for row in rows.join(of_files, on="volume").iter_rows(named=True)
    ]
    return stored, json.loads((out / "volumes.json").read_text(encoding="utf-8"))
