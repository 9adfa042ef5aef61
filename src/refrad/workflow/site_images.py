"""The images of the deliveries, DICOM or NIfTI, as the rules of index and volumes use them."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from refrad.config import Delivery

__all__ = ["SiteImages"]


class SiteImages:
    """The images of a site by the name of the delivery."""

    def __init__(self, deliveries: Mapping[str, Delivery]) -> None:
        self._deliveries = deliveries

    def table(self, wildcards: Any) -> list[str]:
        """A Snakemake input function: the table of volumes of a NIfTI delivery, or nothing where there is none."""
        volumes = self._deliveries[wildcards.delivery].volumes
        return [volumes.table] if volumes is not None and volumes.table is not None else []

    def flags(self, stage: str) -> Any:
        """A Snakemake params function: ` --dicom FOLDER`, or ` --volume-files JSON` with the options that shape a stage."""

        def text(wildcards: Any) -> str:
            return " " + shlex.join(self.words(wildcards.delivery, stage))

        return text

    def words(self, name: str, stage: str) -> list[str]:
        """Flags and values that name the images of a delivery to a stage; to index also the public set that they are."""
        delivery = self._deliveries[name]
        public_set = ["--public-set", delivery.public_set] if stage == "index" and delivery.public_set else []
        if delivery.volumes is None:
            return ["--dicom", delivery.dicom or "", *public_set]
        unused = {"floor"} if stage == "index" else set()
        volumes = json.dumps(delivery.volumes.model_dump(mode="json", exclude=unused), sort_keys=True)
        return ["--volume-files", volumes, *public_set]
