"""Made-up data for the tests, as plain functions: options, DICOM files, reports, a study with its tables, images.

    from tests.factories import ROOT, image_row, options

    shorter = options("train", steps=3, checkpoints={"keep": 1})  # config.yaml's section with two changes
    row = image_row(0, "train", np.random.default_rng(0))

No test imports from a conftest module or from another test: what two tests need is here.
"""

from tests.factories.dataset import describe_dataset, write_shards
from tests.factories.dicom import (
    PLAIN_CT,
    RAS,
    dataset_of,
    instance_of,
    make_volumes,
    only_volume,
    plain_header,
    stacks,
    write_dicom,
)
from tests.factories.images import SIDE, image_row, png_bytes
from tests.factories.options import AUGMENT, OWN_DATA, ROOT, SCHEMA, fingerprint, options, tiny_training
from tests.factories.reports import ReportDelivery, report_row
from tests.factories.study import Study

__all__ = [
    "AUGMENT",
    "OWN_DATA",
    "PLAIN_CT",
    "RAS",
    "ROOT",
    "SCHEMA",
    "SIDE",
    "ReportDelivery",
    "Study",
    "dataset_of",
    "describe_dataset",
    "fingerprint",
    "image_row",
    "instance_of",
    "make_volumes",
    "only_volume",
    "options",
    "plain_header",
    "png_bytes",
    "report_row",
    "stacks",
    "tiny_training",
    "write_dicom",
    "write_shards",
]
