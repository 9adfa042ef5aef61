import json
import shlex
from types import SimpleNamespace

import pytest

from refrad.config import Delivery
from refrad.workflow.site_images import SiteImages

VOLUMES = {"folder": "/data/a b", "table": "volumes.csv", "modality": "CT"}
NIFTI, DICOM = SimpleNamespace(delivery="nifti"), SimpleNamespace(delivery="dicom")


def images(**changes):
    deliveries = (
        Delivery(name="dicom", dicom="/data/it's dicom", reports="r.csv", shards=1),
        Delivery(name="nifti", volumes=VOLUMES | changes, reports="r.csv", shards=1),
    )
    return SiteImages({delivery.name: delivery for delivery in deliveries})


def test_flags_name_the_images_of_either_kind():
    flag, folder = shlex.split(images().flags("index")(DICOM))
    assert (flag, folder) == ("--dicom", "/data/it's dicom")
    flag, section = shlex.split(images().flags("volumes")(NIFTI))
    assert flag == "--volume-files" and json.loads(section) == VOLUMES | {"pattern": None, "floor": -1024}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ({"folder": "/b"}, {"index", "volumes"}),
        ({"modality": "MR"}, {"index", "volumes"}),
        ({"floor": None}, {"volumes"}),
    ],
)
def test_option_changes_the_stages_that_it_shapes(change, stages):
    before, after = images(), images(**change)
    changed = {stage for stage in ("index", "volumes") if before.words("nifti", stage) != after.words("nifti", stage)}
    assert changed == stages
    assert before.words("dicom", "index") == after.words("dicom", "index")


def test_table_is_an_input_of_its_delivery_alone():
    assert images().table(NIFTI) == ["volumes.csv"]
    assert (
        images().table(DICOM)
        == images(table=None, pattern="(?P<patient>.)(?P<study>.)(?P<series>.)").table(NIFTI)
        == []
    )
