"""Seconds per volume: a process that holds the networks and streams volumes, against one `TotalSegmentator` command a volume.

    python benchmarks/masks.py fastest
    python benchmarks/masks.py total

`fastest` uses the demo's weights; `total` uses five untrained networks of a few thousand parameters, written to a temporary
folder as TotalSegmentator's own. Small networks show what is spent beside them, which is what the two sides differ in. Both
sides label the same made-up volumes with the same weights; the program stops if one label differs.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from refrad.core.files import write_json
from refrad.dicom.volume_store import read_volume, store_volume
from refrad.segmentation.base import SegmentationJob, SegmenterLimits
from refrad.segmentation.labels import load_labels
from refrad.segmentation.runner import label_volumes
from refrad.segmentation.totalsegmentator import TotalSegmentator

ROOT = Path(__file__).parents[1]
# Volumes of each side, and their shape. A job has hundreds of volumes to share its start among; here it has these.
COMMANDS = {"fastest": 2, "total": 1}
STREAMED = {"fastest": 40, "total": 8}
SHAPES = {"fastest": (96, 96, 40), "total": (48, 48, 16)}  # at 1.5 mm the larger one would take the networks minutes
# The command, with the trainer classes known by name: its own search imports all trainers, and some need torchvision.
COMMAND = """
import sys
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from totalsegmentator import nnunet
from totalsegmentator.bin.TotalSegmentator import main
for name in ("nnUNetTrainerNoMirroring", "nnUNetTrainer_4000epochs_NoMirroring"):
    nnunet.custom_trainers[name] = type(name, (nnUNetTrainer,), {})
if __name__ == "__main__":
    sys.exit(main())
"""


def untrained(folder: Path) -> None:
    """Five tiny networks with random weights in TotalSegmentator's folders of the task `total`."""
    import torch
    from totalsegmentator.map_tasks_config import TASK_ID_WEIGHTS_CONFIGS
    from totalsegmentator.map_to_binary import class_map_5_parts, map_taskid_to_partname_ct

    from refrad.demo import networks

    for number in (291, 292, 293, 294, 295):
        torch.manual_seed(number)
        labels = {"background": 0}
        labels |= {name: value for value, name in class_map_5_parts[map_taskid_to_partname_ct[number]].items()}
        name = TASK_ID_WEIGHTS_CONFIGS[number]["foldername"]
        target = folder / name / "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres"
        plans = networks.network_plans(name, "CT")
        configuration = plans["configurations"]["3d_fullres"]
        configuration |= {"spacing": [1.5] * 3, "patch_size": [64, 64, 64]}
        arguments = configuration["architecture"]["arch_kwargs"]
        arguments |= {"n_stages": 2, "features_per_stage": [4, 8], "kernel_sizes": [[3, 3, 3]] * 2}
        arguments |= {"strides": [[1, 1, 1], [2, 2, 2]], "n_conv_per_stage": [1, 1], "n_conv_per_stage_decoder": [1]}
        write_json(target / "plans.json", plans)
        dataset = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 0, "file_ending": ".nii.gz"}
        write_json(target / "dataset.json", dataset)
        architecture = configuration["architecture"]
        checkpoint = {
            "network_weights": _network(architecture, len(labels)).state_dict(),
            "trainer_name": "nnUNetTrainerNoMirroring",
            "init_args": {"configuration": "3d_fullres"},
            "inference_allowed_mirroring_axes": None,
        }
        (target / "fold_0").mkdir(parents=True)
        torch.save(checkpoint, target / "fold_0" / "checkpoint_final.pth")


def _network(architecture: dict, classes: int):
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    name, arguments, imports = (
        architecture[key] for key in ("network_class_name", "arch_kwargs", "_kw_requires_import")
    )
    return get_network_from_plans(name, arguments, imports, 1, classes, allow_init=True, deep_supervision=False)


def made_up(folder: Path, count: int, shape: tuple[int, int, int]) -> list[Path]:
    """Bodies as the demo's scanner sees them, in voxels of 4 x 4 x 6 mm."""
    from totalsegmentator.map_to_binary import class_map

    from refrad.demo.bodies import make_body
    from refrad.demo.rendering import render

    native = {name: number for number, name in class_map["total"].items()}
    affine = np.diag([-4.0, -4.0, 6.0, 1.0])
    affine[:3, 3] = [2 * shape[0], 2 * shape[1], 290 - 3 * shape[2]]
    paths = []
    for number in range(count):
        image, _ = render(make_body(900 + number), affine, shape, "CT", native, seed=number)
        paths.append(folder / store_volume(np.round(image).astype(np.int16), affine, folder)[1])
    return paths


def commands(volumes: Sequence[Path], weights: Path, out: Path, variant: str) -> None:
    """One command a volume."""
    home = out / "home"
    write_json(home / "config.json", {"totalseg_id": "x", "send_usage_stats": False, "prediction_counter": 0})
    environment = os.environ | {"TOTALSEG_HOME_DIR": str(home), "TOTALSEG_WEIGHTS_PATH": str(weights)}
    for number, volume in enumerate(volumes):
        command = [
            sys.executable,
            "-c",
            COMMAND,
            "-i",
            volume,
            "-o",
            out / f"{number}.nii.gz",
            "--ml",
            "-d",
            "cpu",
            "-q",
        ]
        command += [] if variant == "total" else [f"--{variant}"]
        subprocess.run(command, env=environment, check=True, capture_output=True)


def stream(volumes: Sequence[Path], weights: Path, out: Path, variant: str) -> None:
    """All volumes through one process."""
    orders = [SegmentationJob(str(n), volume, out / f"{n}.nii.gz", "total") for n, volume in enumerate(volumes)]
    for outcome in label_volumes(
        TotalSegmentator(weights, variant, "cpu"), orders, SegmenterLimits(30, 20, 3), out / "scratch"
    ):
        if outcome.reason:
            raise SystemExit(f"a volume failed: {outcome.reason}")


def network_share(volumes: Sequence[Path], weights: Path, variant: str) -> tuple[float, float]:
    """Seconds a volume in the networks and beside them, one volume at a time."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    spent = [0.0]
    whole = nnUNetPredictor.predict_logits_from_preprocessed_data

    def timed(self, data):
        start = time.perf_counter()
        try:
            return whole(self, data)
        finally:
            spent[0] += time.perf_counter() - start

    nnUNetPredictor.predict_logits_from_preprocessed_data = timed
    segmenter = TotalSegmentator(weights, variant, "cpu")
    segmenter.segment(*read_volume(volumes[0]), "total")  # loads the networks
    spent[0], start = 0.0, time.perf_counter()
    for volume in volumes:
        segmenter.segment(*read_volume(volume), "total")
    total = time.perf_counter() - start
    return spent[0] / len(volumes), (total - spent[0]) / len(volumes)


def measured(function, *arguments) -> tuple[float, float]:
    """Seconds by the clock and of the processors, children included."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    function(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run both sides, compare their labels, and print the ratio."""
    variant = sys.argv[1] if len(sys.argv) > 1 else "fastest"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = ROOT / "workflow" / "demo_weights"
        if variant == "total":
            weights = folder / "weights"
            untrained(weights)
        commanded, streamed = COMMANDS[variant], STREAMED[variant]
        volumes = made_up(folder / "volumes", streamed, SHAPES[variant])
        slow = measured(commands, volumes[:commanded], weights, folder / "theirs", variant)
        fast = measured(stream, volumes, weights, folder / "ours", variant)
        for number in range(commanded):
            ours, theirs = (load_labels(folder / side / f"{number}.nii.gz") for side in ("ours", "theirs"))
            if not np.array_equal(ours, theirs):
                raise SystemExit("the labels differ")
        inside, beside = network_share(volumes[:4], weights, variant)
        result = {
            "variant": variant,
            "command, s a volume": round(slow[0] / commanded, 2),
            "streaming, s a volume": round(fast[0] / streamed, 2),
            "ratio by the clock": round(slow[0] / commanded / (fast[0] / streamed), 1),
            "ratio of processor seconds": round(slow[1] / commanded / (fast[1] / streamed), 1),
            "of one volume alone, s in the networks": round(inside, 2),
            "and beside them": round(beside, 2),
        }
        print(json.dumps(result, indent=2))
        print(f"identical labels; {streamed} volumes streamed, loading of the networks included")


if __name__ == "__main__":
    main()
