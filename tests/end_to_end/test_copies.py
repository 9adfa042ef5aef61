"""A delivery that repeats an earlier one: its volumes are copies, and nothing of the earlier one runs again."""

import pytest
import yaml
from tests.factories import OWN_DATA

from projects import SMALL_DEMO
from refrad.core.contracts import CopyTable, VolumeTable
from refrad.core.tables import read_table

pytestmark = pytest.mark.slow


def test_repeated_delivery_is_copies_and_reruns_nothing(project):
    (first,) = yaml.safe_load((project.folder / "config.yaml").read_text(encoding="utf-8"))["deliveries"]
    deliveries = [first | {"shards": 2}, first | {"name": "again", "shards": 1}]
    project.configure(SMALL_DEMO | {"demo": {"patients": 3}, "deliveries": deliveries[:1]})
    project.snakemake("demo/demo/reports.csv")
    # As a delivery of a site: the workflow makes one demo for each delivery under demo/.
    (project.folder / "demo").rename(project.folder / "site")
    for delivery in deliveries:
        delivery |= {key: delivery[key].replace("demo/demo", "site/demo") for key in ("dicom", "reports", "references")}
    own = SMALL_DEMO | OWN_DATA | {"privacy": {"key": "private/key"}}
    project.configure(own | {"deliveries": deliveries[:1]})
    project.snakemake("copies")
    project.configure(own | {"deliveries": deliveries})
    lines = project.snakemake("copies", "--dry-run").stdout.splitlines()
    assert lines and all(" again" in line for line in lines), lines
    project.snakemake("copies")
    results = project.folder / "results"
    first_copies, copies = (
        read_table(results / f"copies/{name}/copies.parquet", CopyTable) for name in ("demo", "again")
    )
    assert first_copies.is_empty()
    volumes = read_table(results / "volumes/again/0/volumes.parquet", VolumeTable)
    accepted = volumes.filter(volumes["reason"].is_null())["volume"].sort()
    assert copies["volume"].to_list() == accepted.to_list() and set(copies["relation"]) == {"earlier_delivery"}
    project.configure(own | {"deliveries": deliveries[1:]})
    assert "copies_delivery" in project.planned("copies")  # the first delivery is removed
