"""Who labels the voxels: TotalSegmentator, held in one process, or label volumes that a site already has."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from refrad.core.files import digest_bytes, digest_file
from refrad.core.types import TASK_OF
from refrad.segmentation.deshear import deshear, is_sheared

__all__ = ["TotalSegmentator", "UnsegmentableError", "resample_labels"]

NETWORKS: Mapping[tuple[str, str], tuple[int, ...]] = {
    ("total", "fastest"): (298,),
    ("total", "fast"): (297,),
    ("total", "total"): (291, 292, 293, 294, 295),
    ("total_mr", "fastest"): (853,),
    ("total_mr", "fast"): (852,),
    ("total_mr", "total"): (850, 851),
}

# The network that finds where the wanted classes are, before the others look at that part only.
ROUGH: Mapping[str, int] = {"total": 298, "total_mr": 852}


class UnsegmentableError(ValueError):
    """This volume gets no labels; the message is the reason code."""


class TotalSegmentator:
    """The `totalsegmentator` package, with its networks loaded once and nothing sent anywhere.

    Its networks are loaded at the first volume. After `load`, several threads may segment at once. A process can hold the networks of one
    weights folder only, as nnU-Net keeps the folder for good.

    Args:
        weights: folder laid out as $TOTALSEG_WEIGHTS_PATH.
        variant: "fastest" (6 mm), "fast" (3 mm) or "total" (1.5 mm).
        device: "cpu" or "gpu".
        rois: names of TotalSegmentator classes to look for, or None for all.

    Raises:
        ValueError: if a name of `rois` is no class of any task.
    """

    def __init__(self, weights: Path, variant: str, device: str, rois: Sequence[str] | None = None) -> None:
        self.name = f"totalsegmentator {variant}"
        self.variant = variant
        self.device = device
        self.rois = sorted(rois) if rois else None
        self.folder = weights.resolve()
        self._digests: dict[str, str] = {}
        self._home: Any = None
        self._run: Callable[..., Any] | None = None
        if self.rois:
            known = {name for task in TASK_OF.values() for name in _classes(task)}
            if unknown := set(self.rois) - known:
                raise ValueError(
                    f"masks.rois: {sorted(unknown)[0]} is no class of TotalSegmentator's total or total_mr"
                )

    def weights(self, task: str) -> str:
        """Digest over the checkpoints and plans of the task's networks.

        Raises:
            FileNotFoundError: if one is not there.
        """
        if task not in self._digests:
            numbers = NETWORKS[task, self.variant] + ((ROUGH[task],) if self.rois else ())
            files = [path for number in dict.fromkeys(numbers) for path in self._files(number)]
            self._digests[task] = digest_bytes(*(digest_file(path).encode() for path in files))
        return self._digests[task]

    def _files(self, number: int) -> list[Path]:
        found = sorted(self.folder.glob(f"Dataset{number:03d}_*/*/fold_0/checkpoint_final.pth"))
        if not found:
            raise FileNotFoundError(
                f"weights of TotalSegmentator network {number} are not in {self.folder} (wanted: Dataset{number:03d}_*/"
                f"<trainer>__nnUNetPlans__3d_fullres/fold_0/checkpoint_final.pth). On a machine with internet run"
                " totalseg_download_weights, copy its nnunet/results folder here, and name it as masks.weights in the config"
            )
        return [found[0], found[0].parents[1] / "plans.json"]

    def segment(self, volume: NDArray[np.int16], affine: NDArray[np.float64], task: str) -> NDArray[np.uint8]:
        """Labels uint8 in the native ids of `task`, on the grid of `volume` [column, row, slice] with its RAS+ `affine`.

        The labels are those of the `TotalSegmentator` command on the same volume and weights; those of a tilted stack
        are found on an upright grid, since the package takes all slices for stacked along their normal.

        Raises:
            FileNotFoundError: if weights are missing; the package itself would go and download them.
            UnsegmentableError: "rois_not_in_task" if the task knows none of the wanted classes.
            Exception: whatever the package raises for a volume that it cannot label.
        """
        if is_sheared(affine):
            straight, its_affine = deshear(volume, affine)
            return resample_labels(self.segment(straight, its_affine, task), its_affine, affine, volume.shape)
        self.weights(task)  # never let the package find out that something is missing
        options: dict[str, Any] = {} if self.variant == "total" else {self.variant: True}
        if self.rois:
            known = set(_classes(task))
            options["roi_subset"] = [name for name in self.rois if name in known]
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
            RuntimeError: if a GPU is wanted and there is none; the package itself would go on without.
        """
        # Logits take tens of MB and more, and filling them page by page took a sixth of the time; read when torch is imported.
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
        import torch

        from refrad.segmentation.nnunet_patches import load

        if self.device == "gpu" and not torch.cuda.is_available():
            raise RuntimeError(
                "masks.device is gpu, but torch finds none: say cpu, or see to the driver, or to torch's build"
            )
        # A home of its own for each process, since the package reads and rewrites files there in every run.
        self._home = tempfile.TemporaryDirectory(prefix="totalsegmentator-")
        config = {"totalseg_id": "totalseg_offline", "send_usage_stats": False, "prediction_counter": 0}
        config["statistics_disclaimer_shown"] = True
        (Path(self._home.name) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        os.environ["TOTALSEG_HOME_DIR"] = self._home.name
        os.environ["TOTALSEG_WEIGHTS_PATH"] = str(self.folder)
        self._run = load(self._files)


def _classes(task: str) -> list[str]:
    from totalsegmentator.map_to_binary import class_map

    return list(class_map[task].values())


def resample_labels(
    labels: NDArray[np.integer[Any]],
    labels_affine: NDArray[np.float64],
    affine: NDArray[np.float64],
    shape: tuple[int, ...],
) -> NDArray[np.uint8]:
    """Bring labels onto another grid through the affines, by nearest neighbour; exact where the voxels coincide.

    Args:
        labels: native ids, on any grid.
        labels_affine: RAS mm, 4 x 4, of `labels`.
        affine: RAS mm, 4 x 4, of the wanted grid.
        shape: of the wanted grid.

    Returns:
        uint8 [shape]; 0 outside of the labels' field of view.

    Raises:
        UnsegmentableError: "mask_elsewhere" if less than half of the wanted grid lies inside the labels' field of view.
    """
    from scipy import ndimage

    to_labels = np.linalg.inv(labels_affine) @ affine
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(3, -1)
    centre = (np.array(shape) - 1) / 2
    seen = to_labels[:3, :3] @ np.column_stack([corners * 0.5 + centre[:, None] * 0.5, centre]) + to_labels[:3, 3:]
    inside = ((seen > -1) & (seen < np.array(labels.shape)[:, None])).all(0)
    if inside.mean() < 0.5:
        raise UnsegmentableError("mask_elsewhere")
    matrix, offset = to_labels[:3, :3], to_labels[:3, 3]
    rounded = np.round(matrix)
    if np.abs(matrix - rounded).max() < 1e-4:  # flips and permutations: no drift over many voxels
        matrix = rounded
    if np.abs(offset - np.round(offset)).max() < 1e-2:
        offset = np.round(offset)
    moved = ndimage.affine_transform(
        labels.astype(np.uint8), matrix, offset, output_shape=shape, order=0, mode="constant"
    )
    return np.asarray(moved, np.uint8)
