"""Who labels the voxels: TotalSegmentator, held in one process, or label volumes that a site already has."""

import json
import logging
import os
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from refrad.files import digest_bytes, digest_file

__all__ = ["TASK_OF", "Segmenter", "TotalSegmentator", "Unsegmentable", "onto_grid"]

TASK_OF: Mapping[str, str] = {"CT": "total", "MR": "total_mr"}
NETWORKS: Mapping[tuple[str, str], tuple[int, ...]] = {
    ("total", "fastest"): (298,),
    ("total", "fast"): (297,),
    ("total", "total"): (291, 292, 293, 294, 295),
    ("total_mr", "fastest"): (853,),
    ("total_mr", "fast"): (852,),
    ("total_mr", "total"): (850, 851),
}

FAULTS_OF_A_VOLUME = (RuntimeError, ValueError, LookupError, ArithmeticError, AssertionError, MemoryError)

logger = logging.getLogger(__name__)


class Unsegmentable(ValueError):
    """This volume gets no labels; the message is the reason code."""


class Segmenter(Protocol):
    """Labels for one volume at a time."""

    name: str

    def weights(self, task: str) -> str | None:
        """Digest of what determines the labels beside the volume and the options."""

    def segment(self, volume: NDArray[np.int16], affine: NDArray[np.float64], task: str) -> NDArray[np.uint8]:
        """Labels uint8 in the native ids of `task`, on the grid of `volume`.

        Raises:
            Unsegmentable: if this volume cannot be labelled.
        """


class TotalSegmentator:
    """The `totalsegmentator` package, with its networks loaded once and nothing sent anywhere.

    Args:
        weights: folder laid out as $TOTALSEG_WEIGHTS_PATH.
        variant: "fastest" (6 mm), "fast" (3 mm) or "total" (1.5 mm).
        device: "cpu" or "gpu".

    Raises:
        FileNotFoundError: if weights of a network are missing; TotalSegmentator itself would go and download them.
    """

    def __init__(self, weights: Path, variant: str, device: str) -> None:
        self.name = f"totalsegmentator {variant}"
        self.variant = variant
        self.device = device
        self.folder = weights.resolve()
        # Each process has a home of its own, since the package rewrites its config in every run.
        self.home = tempfile.TemporaryDirectory(prefix="totalsegmentator-")
        config = {"totalseg_id": "totalseg_offline", "send_usage_stats": False, "prediction_counter": 0}
        (Path(self.home.name) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        os.environ["TOTALSEG_HOME_DIR"] = self.home.name
        os.environ["TOTALSEG_WEIGHTS_PATH"] = str(self.folder)
        self._digests: dict[str, str] = {}
        self._run: Callable[..., Any] | None = None

    def weights(self, task: str) -> str:
        """Digest over the checkpoints and plans of the task's networks.

        Raises:
            FileNotFoundError: if one is not there.
        """
        if task not in self._digests:
            files = [path for number in NETWORKS[task, self.variant] for path in self._files(number)]
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
        """See `Segmenter`. The labels are those of the `TotalSegmentator` command on the same volume and weights."""
        self.weights(task)  # never let the package find out that something is missing
        if self._run is None:
            self._run = _load()
        speed = {} if self.variant == "total" else {self.variant: True}
        image = nib.Nifti1Image(volume, affine)  # type: ignore[no-untyped-call]
        for attempt in (1, 2):
            try:
                result = self._run(image, None, ml=True, task=task, device=self.device, quiet=True, **speed)
                return np.asarray(result.dataobj).astype(np.uint8)
            except FAULTS_OF_A_VOLUME as error:  # all else is a fault of the installation, and stops the run
                place = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{Path(place.filename).name}:{place.lineno}"
                logger.warning("segmentation failed at attempt %d: %s in %s", attempt, type(error).__name__, where)
        raise Unsegmentable("segmenter_failed")


def _load() -> Callable[..., Any]:
    """TotalSegmentator's Python API with predictors that stay loaded, and without its process pools."""
    import torch
    from totalsegmentator import nnunet
    from totalsegmentator.config import setup_nnunet
    from totalsegmentator.python_api import totalsegmentator

    setup_nnunet()
    nnunet.nnUNetv2_predict = _held_predictors(nnunet)
    threads = torch.get_num_threads()

    def run(*arguments: Any, **options: Any) -> Any:
        torch.set_num_threads(threads)  # the package would take all cores of the machine
        return totalsegmentator(*arguments, **options)

    return run


def _held_predictors(package: Any) -> Callable[..., None]:
    """Stands in for the package's `nnUNetv2_predict`, with the same files in and out."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.file_path_utilities import get_output_folder

    held: dict[tuple[Any, ...], Any] = {}

    def predict(
        dir_in: Path,
        dir_out: Path,
        task_id: int,
        model: str = "3d_fullres",
        folds: Any = None,
        trainer: str = "nnUNetTrainer",
        tta: bool = False,
        _preprocessing: int = 1,
        _saving: int = 1,
        plans: str = "nnUNetPlans",
        device: Any = "cpu",
        step_size: float = 0.5,
        **_: Any,
    ) -> None:
        key = (task_id, model, str(folds), trainer, tta, plans, str(device), step_size)
        if key not in held:
            # Known by name, so that nnU-Net does not import every trainer it finds to search for it.
            package.custom_trainers.setdefault(trainer, type(trainer, (nnUNetTrainer,), {}))
            on = torch.device(device) if isinstance(device, str) else device
            predictor = nnUNetPredictor(
                tile_step_size=step_size,
                use_mirroring=tta,
                device=on,
                perform_everything_on_device=True,
                allow_tqdm=False,
            )
            folder = get_output_folder(task_id, trainer, plans, model)
            predictor.initialize_from_trained_model_folder(
                folder, use_folds=folds, checkpoint_name="checkpoint_final.pth"
            )
            held[key] = predictor
        for path in sorted(Path(dir_in).glob("*_0000.nii.gz")):
            image: Any = nib.load(path)
            values = np.asanyarray(image.dataobj).transpose(2, 1, 0)[None].astype(np.float32)
            spacing = [float(mm) for mm in image.header.get_zooms()[:3]][::-1]
            labels = held[key].predict_single_npy_array(values, {"spacing": spacing}, None, None, False)
            out = nib.Nifti1Image(labels.transpose(2, 1, 0).astype(np.uint8), image.affine)  # type: ignore[no-untyped-call]
            nib.save(out, Path(dir_out) / path.name.replace("_0000", ""))  # type: ignore[no-untyped-call]

    return predict


def onto_grid(
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
        Unsegmentable: "mask_elsewhere" if less than half of the wanted grid lies inside the labels' field of view.
    """
    from scipy import ndimage

    to_labels = np.linalg.inv(labels_affine) @ affine
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(3, -1)
    centre = (np.array(shape) - 1) / 2
    seen = to_labels[:3, :3] @ np.column_stack([corners * 0.5 + centre[:, None] * 0.5, centre]) + to_labels[:3, 3:]
    inside = ((seen > -1) & (seen < np.array(labels.shape)[:, None])).all(0)
    if inside.mean() < 0.5:
        raise Unsegmentable("mask_elsewhere")
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
