"""Images of synthetic bodies: intensities of their tissues, and the native labels of a segmentation task, on any grid."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from refrad.demo.bodies import Array, Body, Shape

__all__ = ["render"]

# Hounsfield units: lowest and highest mean of a tissue.
HU = {
    **{"spleen": (70, 130), "kidney": (110, 200), "gallbladder": (0, 15), "liver": (60, 115), "stomach": (5, 35)},
    **{"pancreas": (50, 95), "adrenal_gland": (45, 85), "lung": (-880, -780), "esophagus": (25, 45)},
    **{"trachea": (-1000, -960), "small_bowel": (15, 50), "duodenum": (20, 60), "colon": (-120, -20)},
    **{"urinary_bladder": (-5, 12), "prostate": (35, 60), "sacrum": (200, 300), "vertebrae": (180, 320)},
    **{"intervertebral_discs": (70, 100), "heart": (90, 170), "aorta": (140, 320), "inferior_vena_cava": (90, 170)},
    **{"superior_vena_cava": (90, 220), "portal_vein": (120, 190), "iliac_artery": (140, 300), "iliac_vena": (90, 160)},
    **{"femur": (300, 480), "hip": (280, 420), "spinal_cord": (25, 45), "gluteus": (45, 65), "autochthon": (45, 65)},
    **{"iliopsoas": (45, 65), "sternum": (150, 260), "rib": (300, 450)},
}


def render(
    body: Body,
    affine: NDArray[np.float64],
    shape: tuple[int, int, int],
    modality: str,
    native: Mapping[str, int],
    seed: int = 0,
) -> tuple[Array, NDArray[np.uint8]]:
    """Image a body on a grid.

    Args:
        body: to image.
        affine: voxel index to RAS mm, 4 x 4.
        shape: of the grid.
        modality: "CT" or "MR"; for MR the seed also chooses the contrast of the sequence.
        native: class name to native label of the task.
        seed: of noise and contrast.

    Returns:
        Image float32 [shape], HU or MR units, and labels uint8 [shape] in native ids.
    """
    r = np.random.default_rng([body.seed, seed, 2])
    axes = [np.arange(n, dtype=np.float32) for n in shape]
    a = affine.astype(np.float32)
    world = np.stack(
        [
            a[i, 3] + sum(a[i, j] * axes[j].reshape([-1 if k == j else 1 for k in range(3)]) for j in range(3))
            for i in range(3)
        ]
    )
    p = body.to_body(world)
    tissue = _Tissue(r, modality)
    image, inside = _outer(body, p, tissue)
    labels = np.zeros(shape, np.uint8)
    for name, parts in body.shapes.items():
        for part in parts:
            box = _box(body, part, affine, shape)
            if box is None:
                continue
            q = p[(slice(None), *box)]
            mask = part.inside(q) & inside[box]
            image[box][mask] = tissue.of(name)
            _label(labels[box], mask, name, q, modality, native)
    for lesion in body.lesions:
        box = _box(body, lesion.shape, affine, shape)
        if box is not None:
            mask = lesion.shape.inside(p[(slice(None), *box)]) & inside[box]
            image[box][mask] += lesion.contrast if modality == "CT" else r.choice([-0.5, 0.6]) * tissue.of(lesion.organ)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image = ndimage.gaussian_filter(image, 1.8 / spacing)
    if modality == "CT":
        image += r.normal(0, r.uniform(8, 22), shape).astype(np.float32)
        return np.clip(image, -1024, 3000), labels
    bias = 1 + 0.15 * np.sin(p[0] / 130 + r.uniform(0, 6)) * np.cos(p[2] / 170 + r.uniform(0, 6))
    image = np.abs(image * bias + r.normal(0, r.uniform(8, 22), shape).astype(np.float32))
    return image.astype(np.float32), labels


class _Tissue:
    """Mean intensity of each class: HU, or a random contrast in place of an MR sequence."""

    def __init__(self, r: np.random.Generator, modality: str) -> None:
        self.r = r
        self.ct = modality == "CT"
        self.means: dict[str, float] = {}

    def of(self, name: str) -> float:
        """Mean of a class; left and right, and the levels of the spine, share theirs."""
        base = next((key for key in HU if name.startswith(key)), name)
        if base not in self.means:
            if self.ct:
                self.means[base] = float(self.r.uniform(*HU.get(base, (30, 60))))
            else:
                self.means[base] = float(
                    self.r.uniform(20, 80) if base in ("lung", "trachea") else self.r.uniform(180, 900)
                )
        return self.means[base]

    def of_fat_and_muscle(self) -> tuple[float, float, float]:
        """Fat, muscle and the surroundings."""
        if self.ct:
            return float(self.r.uniform(-115, -90)), float(self.r.uniform(45, 60)), -1000.0
        return float(self.r.uniform(300, 950)), float(self.r.uniform(150, 420)), 0.0


def _outer(body: Body, p: Array, tissue: _Tissue) -> tuple[Array, NDArray[np.bool_]]:
    """Skin, a coat of fat, the muscular wall, and fat between the organs."""
    fat, muscle, air = tissue.of_fat_and_muscle()
    width, depth = body.girth
    x, y = np.abs(p[0]), np.abs(p[1] + 6)
    inside = (x / width) ** 2.5 + (y / depth) ** 2.5 < 1
    image = np.full(p.shape[1:], air, np.float32)
    image[inside] = fat
    image[(x / (width - 15)) ** 2.5 + (y / (depth - 12)) ** 2.5 < 1] = muscle
    image[(x / (width - 34)) ** 2.5 + (np.abs(p[1] - 6) / (depth - 38)) ** 2.5 < 1] = fat
    return image, inside


def _box(
    body: Body, part: Shape, affine: NDArray[np.float64], shape: tuple[int, int, int]
) -> tuple[slice, slice, slice] | None:
    """The part of the grid that can hold a shape: its corners through pose and affine, with room for the warp."""
    low, high = part.bounds()
    corners = np.array(
        [[(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    )
    world = corners @ body.rotation.T + body.shift
    voxel = (world - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    room = 14 / np.linalg.norm(affine[:3, :3], axis=0)
    start = np.maximum(np.floor(voxel.min(0) - room), 0).astype(int)
    stop = np.minimum(np.ceil(voxel.max(0) + room) + 1, shape).astype(int)
    return (
        (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2])) if (start < stop).all() else None
    )


def _label(
    labels: NDArray[np.uint8], mask: NDArray[np.bool_], name: str, p: Array, modality: str, native: Mapping[str, int]
) -> None:
    """Write native ids: CT has lobes and single vertebrae, MR whole lungs, vertebrae and discs."""
    if modality == "CT" and name in ("lung_left", "lung_right"):
        side = name.removeprefix("lung_")
        lower = p[2] + 0.75 * p[1] < 440
        labels[mask & lower] = native[f"lung_lower_lobe_{side}"]
        upper = mask & ~lower
        if side == "left":
            labels[upper] = native["lung_upper_lobe_left"]
        else:
            labels[upper & (p[2] >= 455)] = native["lung_upper_lobe_right"]
            labels[upper & (p[2] < 455)] = native["lung_middle_lobe_right"]
        return
    if modality == "MR" and name.startswith("vertebrae"):
        name = "vertebrae"
    labels[mask] = native.get(name, 0)
