"""The demo's segmentation weights: tiny nnU-Nets that know made-up bodies only, packed as TotalSegmentator's own folders.

    python -m refrad.demo.networks --task 298 --out workflow/demo_weights --seconds 1200

Task 298 is `total` at 6 mm for CT, 853 `total_mr` at 6 mm for MR: the networks of TotalSegmentator's variant `fastest`.
"""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from refrad.core.files import atomic, write_json
from refrad.demo.bodies import make_body
from refrad.demo.rendering import render

__all__ = ["TASKS", "random_view", "train"]

TASKS = {298: ("total", "CT"), 853: ("total_mr", "MR")}
SPACING = 6.0  # mm
PATCH = (32, 40, 48)  # z, y, x
FEATURES = (12, 24, 48, 96)
# CT normalisation, HU: as in the plans that nnU-Net reads; the training must do the same.
CT = {"mean": 0.0, "std": 300.0, "percentile_00_5": -1000.0, "percentile_99_5": 1000.0}


class TrainingFacts(TypedDict):
    """The file training.json of a network; `dice_of_patches` is a moving average."""

    steps: int
    cpu_seconds: int
    of_cpu_seconds: float
    volumes: int
    seed: int
    dice_of_patches: float


def random_view(r: np.random.Generator, spacing: float) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """A field of view as the demo's scanner chooses it.

    Args:
        r: the source of the random numbers.
        spacing: of the grid in mm, the same on all axes.

    Returns:
        RAS+ affine float64 [4, 4] in mm with axes along the patient's, and the shape of the grid.
    """
    fov, length = r.uniform(290, 480), r.uniform(180, 400)
    start = r.uniform(-30, 600 - length)
    shape = (round(fov / spacing), round(fov / spacing), round(length / spacing))
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [r.uniform(-50, 50) - fov / 2, r.uniform(-40, 40) - fov / 2, start]
    return affine, shape


def _normalise(image: NDArray[np.float32], modality: str) -> NDArray[np.float32]:
    if modality == "CT":
        image = np.clip(image, CT["percentile_00_5"], CT["percentile_99_5"])
        return np.asarray((image - CT["mean"]) / CT["std"], np.float32)
    return np.asarray((image - image.mean()) / max(float(image.std()), 1e-8), np.float32)


def _examples(
    modality: str, native: Mapping[str, int], count: int
) -> list[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Normalised images and native labels, axes z, y, x as nnU-Net has them."""
    examples = []
    for number in range(count):
        r = np.random.default_rng([number, 7])
        affine, shape = random_view(r, SPACING)
        image, labels = render(make_body(1_000_000 + number), affine, shape, modality, native, seed=number)
        examples.append((_normalise(image, modality).transpose(2, 1, 0), labels.transpose(2, 1, 0)))
    return examples


def _crop(
    r: np.random.Generator, image: NDArray[np.float32], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A patch at a random place; where the volume is smaller it is padded as nnU-Net pads, with zeros in the middle."""
    x, y = np.zeros(PATCH, np.float32), np.zeros(PATCH, np.uint8)
    source, target = [], []
    for have, want in zip(image.shape, PATCH, strict=True):
        start = int(r.integers(0, have - want + 1)) if have > want else 0
        gap = max(0, want - have) // 2
        source.append(slice(start, start + min(have, want)))
        target.append(slice(gap, gap + min(have, want)))
    part = image[tuple(source)]
    x[tuple(target)] = (
        part * r.uniform(0.92, 1.08) + r.uniform(-0.05, 0.05) + r.normal(0, r.uniform(0, 0.05), part.shape)
    )
    y[tuple(target)] = labels[tuple(source)]
    return x, y


def _architecture() -> dict[str, Any]:
    stages = len(FEATURES)
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(FEATURES),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_conv_per_stage": [1, 1, 2, 2],
            "n_conv_per_stage_decoder": [1] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def _network(classes: int) -> torch.nn.Module:
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    a = _architecture()
    return get_network_from_plans(  # type: ignore[no-any-return]
        a["network_class_name"],
        a["arch_kwargs"],
        a["_kw_requires_import"],
        1,
        classes,
        allow_init=True,
        deep_supervision=False,
    )


def network_plans(folder: str, modality: str) -> dict[str, Any]:
    resample = "resample_data_or_seg_to_shape"
    cubic = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    linear = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    configuration = {
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(PATCH),
        "spacing": [SPACING] * 3,
        "normalization_schemes": ["CTNormalization" if modality == "CT" else "ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": resample,
        "resampling_fn_seg": resample,
        "resampling_fn_probabilities": resample,
        "resampling_fn_data_kwargs": cubic,
        "resampling_fn_seg_kwargs": linear | {"is_seg": True},
        "resampling_fn_probabilities_kwargs": linear,
        "architecture": _architecture(),
    }
    return {
        "dataset_name": folder,
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": CT},
        "configurations": {"3d_fullres": configuration},
    }


def train(task: int, out: Path, seconds: float, seed: int = 0, volumes: int = 240) -> None:
    """Train one network for `seconds` of CPU time and write its folder under `out`, half precision."""
    from totalsegmentator.map_to_binary import class_map

    name, modality = TASKS[task]
    native = {label: number for number, label in class_map[name].items()}
    torch.manual_seed(seed)
    r = np.random.default_rng(seed)
    data = _examples(modality, native, volumes)
    used = sorted(set(np.unique(np.concatenate([np.unique(labels) for _, labels in data]))) - {0})
    compact = np.zeros(256, np.int64)
    compact[used] = np.arange(1, len(used) + 1)
    network = _network(len(used) + 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=6e-3, weight_decay=1e-4)
    start, step, reported, average = time.process_time(), 0, 0.0, 0.0
    share = 0.0
    while share < 1:
        rate = 6e-3 * min(1.0, share / 0.1) * max(0.01, 0.5 * (1 + np.cos(np.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = [_crop(r, *data[r.integers(len(data))]) for _ in range(2)]
        x = torch.from_numpy(np.stack([image for image, _ in batch])[:, None])
        y = torch.from_numpy(compact[np.stack([labels for _, labels in batch])])
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x)
        loss, dice = _loss(logits.float(), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        step += 1
        share = (time.process_time() - start) / seconds
        average = dice if step == 1 else 0.98 * average + 0.02 * dice
        if share - reported > 0.05 or share >= 1:  # a training that is stopped leaves its last state
            reported = share
            print(
                f"task {task}: {share:.0%}, step {step}, loss {loss.item():.3f}, Dice of patches {average:.3f}",
                flush=True,
            )
            facts = TrainingFacts(
                steps=step,
                cpu_seconds=round(time.process_time() - start),
                of_cpu_seconds=seconds,
                volumes=volumes,
                seed=seed,
                dice_of_patches=round(average, 3),
            )
            _pack(task, out, network, used, facts)


def _loss(logits: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Cross-entropy plus one minus the mean Dice of the classes in the batch; and that Dice."""
    log_p = torch.log_softmax(logits, 1)
    picked = log_p.gather(1, y[:, None])
    classes = logits.shape[1]
    count = torch.bincount(y.flatten(), minlength=classes).float()
    overlap = torch.zeros(classes).scatter_add_(0, y.flatten(), picked.exp().flatten())
    present = count > 0
    present[0] = False
    dice = (2 * overlap[present] / (count[present] + log_p.exp().sum((0, 2, 3, 4))[present] + 1e-5)).mean()
    return -picked.mean() + 1 - dice, float(dice.detach())


def _pack(task: int, out: Path, network: torch.nn.Module, used: list[int], facts: TrainingFacts) -> None:
    """Write plans, dataset and checkpoint as TotalSegmentator looks for them; classes never seen get a bias of -100."""
    from totalsegmentator.map_tasks_config import TASK_CONFIGS, TASK_ID_WEIGHTS_CONFIGS
    from totalsegmentator.map_to_binary import class_map

    name, modality = TASKS[task]
    trainer = next(
        mode["trainer"]
        for config in TASK_CONFIGS.values()
        for mode in config.get("sub_modes", {}).values()
        if mode["task_id"] == task
    )
    folder = TASK_ID_WEIGHTS_CONFIGS[task]["foldername"]
    target = out / folder / f"{trainer}__nnUNetPlans__3d_fullres"
    labels = {"background": 0} | {label: number for number, label in class_map[name].items()}
    halves: dict[int, torch.Tensor] = {}  # nnU-Net's state names the encoder twice; one tensor serves both names
    state = {}
    weights = network.state_dict()
    for key, value in weights.items():
        full = value
        if "seg_layers" in key:
            full = torch.zeros((len(labels), *value.shape[1:]))
            if value.ndim == 1:
                full[:] = -100
            full[[0, *used]] = value
        state[key] = halves.setdefault(value.data_ptr(), full.half())
    write_json(target / "plans.json", network_plans(folder, modality))
    write_json(
        target / "dataset.json",
        {"channel_names": {"0": modality}, "labels": labels, "numTraining": 0, "file_ending": ".nii.gz"},
    )
    checkpoint = {
        "network_weights": state,
        "trainer_name": trainer,
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": None,
    }
    with atomic(target / "fold_0" / "checkpoint_final.pth") as temporary:
        torch.save(checkpoint, temporary)
    (target / "training.json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=int, choices=sorted(TASKS), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=1200)
    arguments = parser.parse_args()
    train(arguments.task, arguments.out, arguments.seconds)
