"""TotalSegmentator as a segmenter: its networks loaded once, in a separate process."""

import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from refrad.config.imaging import MasksOptions
from refrad.config.site_data import DEMO_WEIGHTS, is_demo_weights
from refrad.core.files import digest_bytes, digest_file
from refrad.core.types import TASK_OF
from refrad.segmentation.base import (
    DeliveredMasks,
    SegmentationJob,
    SegmentationResult,
    SegmenterLimits,
    UnsegmentableError,
)
from refrad.segmentation.deshear import deshear, is_sheared
from refrad.segmentation.labels import resample_labels
from refrad.segmentation.runner import label_volumes

__all__ = ["TotalSegmentator", "create"]

NETWORKS: Mapping[tuple[str, str], tuple[int, ...]] = {
    ("total", "fastest"): (298,),
    ("total", "fast"): (297,),
    ("total", "total"): (291, 292, 293, 294, 295),
    ("total_mr", "fastest"): (853,),
    ("total_mr", "fast"): (852,),
    ("total_mr", "total"): (850, 851),
}

# The network that finds the bounding box of the requested classes, before the others segment that part only
ROUGH: Mapping[str, int] = {"total": 298, "total_mr": 852}


class TotalSegmentator:
    """The `totalsegmentator` package, with its networks loaded once and nothing sent anywhere.

    It is a `refrad.segmentation.base.Segmenter` and a `refrad.segmentation.runner.Network`. The networks are loaded at the first
    volume. After `load`, several threads may segment at once. A process can hold the networks of one weights folder only, as
    nnU-Net never changes the folder again.

    Args:
        weights: folder laid out as $TOTALSEG_WEIGHTS_PATH.
        variant: "fastest" (6 mm), "fast" (3 mm) or "total" (1.5 mm).
        device: "cpu" or "gpu".
        rois: names of the TotalSegmentator classes to segment, or None for all.

    Raises:
        ValueError: if a name of `rois` is no class of any task.
    """

    def __init__(self, weights: Path, variant: str, device: str, rois: Sequence[str] | None = None) -> None:
        self.folder = weights.resolve()
        self.name = f"totalsegmentator {variant}" + f", {DEMO_WEIGHTS}" * is_demo_weights(self.folder)
        self.variant = variant
        self.device = device
        self.rois = sorted(rois) if rois else None
        self._digests: dict[str, str] = {}
        self._home: Any = None
        self._run: Callable[..., Any] | None = None
        if self.rois:
            classes = {name for task in TASK_OF.values() for name in _classes(task)}
            if unknown := set(self.rois) - classes:
                raise ValueError(
                    f"masks.rois: {sorted(unknown)[0]} is no class of TotalSegmentator's total or total_mr"
                )

    def weights(self, task: str) -> str:
        """Digest over the checkpoints and plans of the task's networks.

        Raises:
            FileNotFoundError: if one is missing.
        """
        if task not in self._digests:
            numbers = NETWORKS[task, self.variant] + ((ROUGH[task],) if self.rois else ())
            files = [path for number in dict.fromkeys(numbers) for path in self._files(number)]
            self._digests[task] = digest_bytes(*(digest_file(path).encode() for path in files))
        return self._digests[task]

    def source(self, volume: str, task: str) -> str:  # noqa: ARG002
        """The digest of the weights: they determine the labels of every volume."""
        return self.weights(task)

    def label(
        self, jobs: Collection[SegmentationJob], limits: SegmenterLimits, scratch: Path
    ) -> Iterator[SegmentationResult]:
        """Write the labels, in a separate process; see `refrad.segmentation.runner.label_volumes`."""
        return label_volumes(self, jobs, limits, scratch)

    def _files(self, number: int) -> list[Path]:
        """Checkpoint and plans of a network."""
        checkpoints = sorted(self.folder.glob(f"Dataset{number:03d}_*/*/fold_0/checkpoint_final.pth"))
        if not checkpoints:
            raise FileNotFoundError(
                f"weights of TotalSegmentator network {number} are not in {self.folder} (wanted: Dataset{number:03d}_*/"
                f"<trainer>__nnUNetPlans__3d_fullres/fold_0/checkpoint_final.pth). On a machine with internet run"
                " totalseg_download_weights, copy its nnunet/results folder here, and name it as masks.weights in the config"
            )
        return [checkpoints[0], checkpoints[0].parents[1] / "plans.json"]

    def segment(self, volume: NDArray[np.int16], affine: NDArray[np.float64], task: str) -> NDArray[np.uint8]:
        """Native ids uint8 [column, row, slice], on the grid of the volume.

        The labels are those of the `TotalSegmentator` command on the same volume and weights. A tilted stack is segmented on an
        upright grid, since the package assumes that slices are stacked along their normal.

        Args:
            volume: int16 [column, row, slice], HU (CT) or without a unit (MR).
            affine: [4, 4], RAS+ mm.
            task: "total" (CT) or "total_mr".

        Raises:
            FileNotFoundError: if weights are missing; the package itself would download them.
            UnsegmentableError: "rois_not_in_task" if the task has none of the requested classes.
            Exception: any that the package raises for a volume that it cannot label.
        """
        if is_sheared(affine):
            upright, upright_affine = deshear(volume, affine)
            return resample_labels(self.segment(upright, upright_affine, task), upright_affine, affine, volume.shape)
        self.weights(task)  # raises here, before the package would download what is missing
        options: dict[str, Any] = {} if self.variant == "total" else {self.variant: True}
        if self.rois:
            classes = set(_classes(task))
            options["roi_subset"] = [name for name in self.rois if name in classes]
            if not options["roi_subset"]:
                raise UnsegmentableError("rois_not_in_task")
        if self._run is None:
            self.load()
        assert self._run is not None
        result = self._run(nib.Nifti1Image(volume, affine), task=task, device=self.device, **options)  # type: ignore[no-untyped-call]
        return np.asarray(result.dataobj).astype(np.uint8)

    def load(self) -> None:
        """Import and prepare the package, once, before any thread works: imports in several threads trip over each other.

        Raises:
            RuntimeError: if `device` is "gpu" and there is none; the package itself would use the CPU.
        """
        # Logits take tens of MB and more, and filling them page by page took a sixth of the time; read when torch is imported.
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
        import torch

        from refrad.segmentation.nnunet_patches import load_totalsegmentator

        if self.device == "gpu" and not torch.cuda.is_available():
            raise RuntimeError(
                "masks.device is gpu, but torch finds none: set it to cpu, or check the driver and the build of torch"
            )
        # Each process has its own home folder, since the package reads and rewrites files there in every run.
        self._home = tempfile.TemporaryDirectory(prefix="totalsegmentator-")
        config = {"totalseg_id": "totalseg_offline", "send_usage_stats": False, "prediction_counter": 0}
        config["statistics_disclaimer_shown"] = True
        (Path(self._home.name) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        os.environ["TOTALSEG_HOME_DIR"] = self._home.name
        os.environ["TOTALSEG_WEIGHTS_PATH"] = str(self.folder)
        self._run = load_totalsegmentator(self._files)


def create(options: MasksOptions, delivered: DeliveredMasks | None) -> TotalSegmentator:  # noqa: ARG001
    """The segmenter with the networks that `options` name.

    Raises:
        ValueError: if they name no weights, or a class that does not exist.
    """
    if options.weights is None:
        raise ValueError("masks.weights names no folder of TotalSegmentator weights")
    return TotalSegmentator(Path(options.weights), options.variant, options.device, options.rois)


def _classes(task: str) -> list[str]:
    from totalsegmentator.map_to_binary import class_map

    return list(class_map[task].values())
