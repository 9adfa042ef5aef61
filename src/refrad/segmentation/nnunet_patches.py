"""TotalSegmentator's Python API with networks that stay loaded, for several volumes at once, and without internet access.

The package's own code determines the labels. Replaced are the loading of the networks, the package's process pools and temporary
images, the slow parts of summing tiles and choosing classes (refrad.segmentation.cpu_kernels), and all access to the internet.
"""

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np

from refrad.segmentation.cpu_kernels import argmax_classes, sum_tiles

__all__ = ["load_totalsegmentator", "make_predictor"]


class FairLock:
    """A lock that threads acquire in the order of `queue`, so that volumes leave the networks in the order in which they came."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[int] = []
        self._taken = False
        self._of_thread = threading.local()
        self._next = 0

    def queue(self) -> None:
        """Put the calling thread at the end of the queue."""
        with self._changed:
            self._of_thread.ticket, self._next = self._next, self._next + 1

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the block, after waiting for the turn of the calling thread."""
        ticket = self._of_thread.ticket
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: not self._taken and min(self._waiting) == ticket)
            self._waiting.remove(ticket)
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()


class ImagesInMemory:
    """Replaces nibabel inside the package: images for the networks stay in memory, all others are written to files."""

    def __init__(self) -> None:
        self._held: dict[Path, nib.Nifti1Image] = {}

    def save(self, image: Any, path: Any) -> None:
        """As nibabel.save."""
        if str(path).endswith("_0000.nii.gz"):
            self._held[Path(path)] = image
        else:
            nib.save(image, path)  # type: ignore[no-untyped-call]

    def load(self, path: Any) -> Any:
        """As nibabel.load."""
        return self._held.get(Path(path)) or nib.load(path)  # type: ignore[no-untyped-call]

    def in_folder(self, folder: Path) -> list[tuple[Path, nib.Nifti1Image]]:
        """The held images of a folder, by path."""
        return [(path, self._held[path]) for path in sorted(self._held) if path.parent == folder]

    def forget(self, folder: Path) -> None:
        """Drop the images of a folder."""
        for path, _ in self.in_folder(folder):
            del self._held[path]

    def __getattr__(self, name: str) -> Any:
        return getattr(nib, name)


def load_totalsegmentator(find_weights: Callable[[int], Any]) -> Callable[..., Any]:
    """TotalSegmentator's `totalsegmentator` function, safe to call from several threads.

    Args:
        find_weights: called with a network's number before it is loaded; raises if its weights are missing.
    """
    import torch
    from totalsegmentator import nnunet, python_api
    from totalsegmentator.config import setup_nnunet

    setup_nnunet()  # type: ignore[no-untyped-call]
    images, lock = ImagesInMemory(), FairLock()

    class Folder(tempfile.TemporaryDirectory[str]):
        """A temporary folder whose images in memory go when it goes."""

        def __exit__(self, *exception: Any) -> None:
            images.forget(Path(self.name))
            super().__exit__(*exception)

    nnunet.nib = images
    nnunet.tempfile = SimpleNamespace(TemporaryDirectory=Folder)
    nnunet.nostdout = lambda *_: contextlib.nullcontext()  # it would swap sys.stdout under the other threads
    nnunet.nnUNetv2_predict = _held_predictors(nnunet, images, lock, torch.get_num_threads())
    python_api.download_pretrained_weights = find_weights
    python_api.increase_prediction_counter = dict
    python_api.send_usage_stats = lambda *_: None

    def run(image: Any, **options: Any) -> Any:
        lock.queue()
        return python_api.totalsegmentator(image, None, ml=True, quiet=True, **options)

    return run


def make_predictor(folder: Path, folds: Any, device: Any, step_size: float, mirrored: bool) -> Any:
    """An nnUNetPredictor with the package's settings, and faster code for a CPU.

    Args:
        folder: of the trained network, with plans.json and fold_<n>/checkpoint_final.pth; its trainer must be known by name.
        folds: numbers of the folds, or None for all.
        device: torch.device. On a GPU tiles are summed there, by nnU-Net's own code; on a CPU by `sum_tiles`.
        step_size: between tiles, as a share of a tile.
        mirrored: average over mirrored images.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    with contextlib.redirect_stdout(None):  # it prints that a CPU is no GPU
        predictor = nnUNetPredictor(
            tile_step_size=step_size,
            use_mirroring=mirrored,
            device=device,
            perform_everything_on_device=True,
            allow_tqdm=False,
        )
    predictor.initialize_from_trained_model_folder(str(folder), use_folds=folds, checkpoint_name="checkpoint_final.pth")
    if device.type == "cpu":
        predictor._internal_predict_sliding_window_return_logits = lambda image, slicers, _: sum_tiles(
            predictor, image, slicers
        )
    if not predictor.label_manager.has_regions:
        predictor.label_manager.convert_logits_to_segmentation = argmax_classes
    return predictor


def _held_predictors(package: Any, images: ImagesInMemory, lock: FairLock, threads: int) -> Callable[..., None]:
    """Replaces the package's `nnUNetv2_predict`. Only the network itself waits for its turn."""
    import torch
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.file_path_utilities import get_output_folder

    predictors: dict[tuple[Any, ...], Any] = {}

    def predictor_of(
        task_id: int, model: str, folds: Any, trainer: str, tta: bool, plans: str, device: Any, step_size: float
    ) -> Any:
        key = (task_id, model, str(folds), trainer, tta, plans, str(device), step_size)
        if key not in predictors:
            # Registered by name, so that nnU-Net does not import every trainer to search for it.
            package.custom_trainers.setdefault(trainer, type(trainer, (nnUNetTrainer,), {}))
            folder = get_output_folder(task_id, trainer, plans, model)
            predictors[key] = make_predictor(folder, folds, torch.device(device), step_size, tta)
        return predictors[key]

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
        with lock.held():
            predictor = predictor_of(task_id, model, folds, trainer, tta, plans, device, step_size)
        for path, image in images.in_folder(Path(dir_in)):
            data, properties = _preprocess(predictor, image)
            with lock.held():
                torch.set_num_threads(threads)  # the package would use all cores of the machine
                logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data)).cpu()
            labels = convert_predicted_logits_to_segmentation_with_correct_shape(
                logits,
                predictor.plans_manager,
                predictor.configuration_manager,
                predictor.label_manager,
                properties,
                num_threads_torch=threads,
            )
            out = nib.Nifti1Image(labels.transpose(2, 1, 0).astype(np.uint8), image.affine)  # type: ignore[no-untyped-call]
            nib.save(out, Path(dir_out) / path.name.replace("_0000", ""))  # type: ignore[no-untyped-call]

    return predict


def _preprocess(predictor: Any, image: Any) -> tuple[Any, Any]:
    """The image [channel, z, y, x] as nnU-Net's preprocessor returns it, and the properties that undo its resampling."""
    values = np.asanyarray(image.dataobj).transpose(2, 1, 0)[None].astype(np.float32)
    spacing = [float(mm) for mm in image.header.get_zooms()[:3]][::-1]
    manager = predictor.configuration_manager
    data, _, properties = manager.preprocessor_class(verbose=False).run_case_npy(
        values, None, {"spacing": spacing}, predictor.plans_manager, manager, predictor.dataset_json
    )
    return data, properties
