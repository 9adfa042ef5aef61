"""Synthetic bodies: shapes with the names and roughly the positions of real organs, evaluated at any point in space.

World coordinates are RAS+ in mm: x to the patient's right, y to the front, z to the head, with z = 0 at the pelvic floor.
Because every shape is a formula, a body can be imaged on any grid - axial, coronal, oblique - without interpolation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["CT_CLASSES", "MR_CLASSES", "Array", "Body", "Lesion", "Shape", "make_body"]

Array = NDArray[np.float32]
Point = tuple[float, float, float]

# Height of the vertebral bodies, in mm.
LEVELS = {
    **{"S1": 128, "L5": 160, "L4": 194, "L3": 228, "L2": 262, "L1": 295, "T12": 326, "T11": 355, "T10": 383},
    **{"T9": 410, "T8": 435, "T7": 459, "T6": 482, "T5": 504},
}
RIBS = {7: 450, 8: 425, 9: 400, 10: 372}


@dataclass(frozen=True)
class Shape:
    """An ellipsoid around `points[0]` (radii in mm per axis), or a tube of one radius along several points."""

    points: tuple[Point, ...]
    radii: Point

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper corner, float64 [3] each, in body coordinates."""
        points = np.array(self.points)
        return points.min(0) - self.radii, points.max(0) + self.radii

    def inside(self, p: Array) -> NDArray[np.bool_]:
        """Mask of the points float32 [3, ...] that are inside."""
        if len(self.points) == 1:
            return sum(((p[i] - self.points[0][i]) / self.radii[i]) ** 2 for i in range(3)) < 1  # type: ignore[no-any-return]
        mask = np.zeros(p.shape[1:], bool)
        for start, end in zip(self.points[:-1], self.points[1:], strict=True):
            a = np.asarray(start, np.float32)
            d = np.asarray(end, np.float32) - a
            r = [p[i] - a[i] for i in range(3)]
            t = np.clip((r[0] * d[0] + r[1] * d[1] + r[2] * d[2]) / np.float32(d @ d), 0, 1)
            mask |= sum(((r[i] - t * d[i]) / self.radii[i]) ** 2 for i in range(3)) < 1
        return mask


def ball(x: float, y: float, z: float, rx: float, ry: float, rz: float) -> Shape:
    """An ellipsoid."""
    return Shape(((x, y, z),), (rx, ry, rz))


def tube(radius: float, *points: Point, flat: float = 1.0) -> Shape:
    """A tube; `flat` below 1 makes it thinner from front to back."""
    return Shape(points, (radius, radius * flat, radius))


def _rib(side: int, z: float) -> Shape:
    """An arc from the spine around the chest, falling to the front."""
    angles = np.linspace(-1.25, 1.15, 9)
    return tube(6.5, *[(side * 136 * np.cos(a), 100 * np.sin(a) - 6, z - 22 * (a + 1.25)) for a in angles])


def _paired(name: str, *shapes: Shape) -> dict[str, list[Shape]]:
    """The same shapes on both sides; given for the right."""
    mirrored = [Shape(tuple((-x, y, z) for x, y, z in shape.points), shape.radii) for shape in shapes]
    return {f"{name}_right": list(shapes), f"{name}_left": mirrored}


# In the order of painting: later organs cover earlier ones.
ORGANS: Mapping[str, Sequence[Shape]] = {
    **_paired("autochthon", tube(24, (32, -92, 110), (32, -92, 520), flat=0.75)),
    **_paired("iliopsoas", tube(19, (42, -48, 270), (48, -44, 170), (82, 0, 70))),
    **_paired("gluteus_maximus", ball(78, -90, 72, 52, 26, 66)),
    **_paired("gluteus_medius", ball(122, -42, 118, 20, 46, 46)),
    **_paired("hip", ball(96, -22, 100, 26, 50, 66)),
    **_paired("femur", ball(104, -4, 52, 25, 25, 25), tube(19, (112, -4, 50), (118, 0, -60))),
    "sacrum": [ball(0, -74, 96, 44, 22, 36)],
    "small_bowel": [ball(0, 38, 188, 74, 44, 50)],
    "lung_right": [ball(78, -8, 452, 58, 80, 112)],
    "lung_left": [ball(-82, -8, 452, 55, 78, 110)],
    "colon": [
        tube(21, (102, 12, 120), (106, 10, 255)),
        tube(18, (106, 14, 258), (0, 66, 246), (-104, 12, 276)),
        tube(19, (-108, 8, 276), (-106, 6, 130), (-30, -28, 108), (0, -38, 70)),
    ],
    "stomach": [tube(34, (-62, 20, 352), (-58, 40, 310), (-10, 52, 286), flat=0.9)],
    "spleen": [ball(-100, -40, 336, 28, 42, 50)],
    "liver": [ball(74, 10, 336, 80, 72, 66), ball(4, 46, 340, 62, 34, 36)],
    **_paired("kidney", ball(64, -50, 258, 27, 26, 54)),
    **_paired("adrenal_gland", ball(44, -42, 318, 12, 9, 15)),
    "duodenum": [tube(13, (34, 30, 292), (48, 8, 262), (30, -4, 226), (-8, 2, 222))],
    "pancreas": [tube(14, (34, 8, 272), (0, 14, 290), (-64, -14, 306))],
    "gallbladder": [ball(50, 54, 284, 17, 18, 27)],
    "urinary_bladder": [ball(0, 24, 54, 42, 36, 32)],
    "prostate": [ball(0, 6, 14, 24, 20, 16)],
    "heart": [ball(-22, 24, 428, 56, 46, 48)],
    "esophagus": [tube(10, (-4, -42, 560), (-6, -42, 372), (-30, -8, 352))],
    "trachea": [tube(10, (0, -16, 640), (0, -14, 506))],
    "sternum": [ball(0, 96, 474, 21, 9, 76)],
    **{f"rib_{side}_{n}": [_rib(sign, z)] for n, z in RIBS.items() for side, sign in (("left", -1), ("right", 1))},
    "intervertebral_discs": [tube(20, (0, -58, 118), (0, -58, 520), flat=0.85)],
    **{
        f"vertebrae_{level}": [
            Shape(((0, -58, z - 5), (0, -58, z + 5)), (22, 19, 8)),
            tube(8, (-26, -84, z), (26, -84, z)),
            tube(7, (0, -86, z), (0, -108, z - 6)),
        ]
        for level, z in LEVELS.items()
    },
    "spinal_cord": [tube(9, (0, -83, 300), (0, -83, 640))],
    "superior_vena_cava": [tube(11, (30, -6, 540), (28, -2, 450))],
    "inferior_vena_cava": [tube(13, (24, -26, 180), (24, -24, 392), flat=0.85)],
    "portal_vein_and_splenic_vein": [tube(8, (60, 6, 318), (10, -2, 296), (-84, -30, 318))],
    "aorta": [tube(13, (-6, -26, 182), (-14, -32, 500), (-8, -10, 522), (10, 14, 505), (8, 16, 460))],
    **{
        f"iliac_artery_{side}": [tube(8, (-6, -24, 180), (x, -26, 130), (1.5 * x, 8, 70))]
        for side, x in (("left", -42), ("right", 40))
    },
    **{
        f"iliac_vena_{side}": [tube(9, (20, -32, 176), (x, -40, 130), (1.4 * x, -6, 70))]
        for side, x in (("left", -46), ("right", 46))
    },
}
LOBES = (
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
)
CT_CLASSES = (*(name for name in ORGANS if name not in ("lung_left", "lung_right", "intervertebral_discs")), *LOBES)
MR_CLASSES = (
    *(n for n in ORGANS if not n.startswith(("vertebrae", "rib", "sternum", "superior", "trachea"))),
    "vertebrae",
)

# Organs that may have been removed, and how often.
RESECTED = {"gallbladder": 0.15, "spleen": 0.06, "kidney_left": 0.05, "kidney_right": 0.04, "prostate": 0.5}


@dataclass(frozen=True)
class Lesion:
    """A round finding inside an organ: name of the class, kind, diameter in mm."""

    organ: str
    kind: str
    shape: Shape
    contrast: float

    @property
    def diameter(self) -> float:
        """In mm."""
        return 2 * self.shape.radii[0]


@dataclass(frozen=True)
class Body:
    """One synthetic person. `to_world` and `warp` position the ideal shapes; `tissue` gives each class its HU."""

    seed: int
    shapes: Mapping[str, Sequence[Shape]]
    lesions: Sequence[Lesion]
    resected: frozenset[str]
    sex: str
    rotation: NDArray[np.float64]
    shift: NDArray[np.float64]
    warp: NDArray[np.float64] = field(repr=False)
    girth: tuple[float, float] = (166.0, 114.0)

    def to_body(self, world: Array) -> Array:
        """Body coordinates float32 [3, ...] of world points float32 [3, ...]: the rigid-and-scale part, then the smooth warp."""
        inverse = np.linalg.inv(self.rotation).astype(np.float32)
        p: Array = np.einsum(
            "ij,j...->i...", inverse, world - self.shift.astype(np.float32).reshape(3, *[1] * (world.ndim - 1))
        )
        for axis, amplitude, kx, ky, kz, phase in self.warp:
            p[int(axis)] += np.float32(amplitude) * np.sin(
                np.float32(kx) * p[0] + np.float32(ky) * p[1] + np.float32(kz) * p[2] + np.float32(phase)
            )
        return p

    def to_world(self, point: Point) -> NDArray[np.float64]:
        """World position float64 [3] of a body point, both in mm (RAS+), the warp (some mm) left out."""
        return np.asarray(self.rotation @ np.array(point) + self.shift, np.float64)


def make_body(seed: int) -> Body:
    """A person with individual size, pose, organs, lesions and resected organs. The same seed gives the same body."""
    r = np.random.default_rng([seed, 1])
    turn, tilt, lean = np.deg2rad(r.uniform([-8, -5, -5], [8, 5, 5]))
    scale = r.uniform(0.9, 1.1) * np.diag(r.uniform(0.93, 1.07, 3))
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    about_y = np.array([[np.cos(lean), 0, np.sin(lean)], [0, 1, 0], [-np.sin(lean), 0, np.cos(lean)]])
    rotation = about_z @ about_x @ about_y @ scale
    centre = np.array([0, 0, 300.0])
    shift = centre - rotation @ centre + r.uniform(-12, 12, 3)
    warp = np.column_stack([np.arange(6) % 3, r.uniform(2, 5, 6), r.normal(0, 1 / 110, (6, 3)), r.uniform(0, 6.3, 6)])
    sex = str(r.choice(["F", "M"]))
    resected = frozenset(name for name, share in RESECTED.items() if (name != "prostate" and r.random() < share))
    if sex == "F":
        resected |= {"prostate"}
    shapes = {name: _vary(r, name, parts) for name, parts in ORGANS.items() if name not in resected}
    lesions = _lesions(r, shapes)
    girth = (float(r.uniform(156, 178)), float(r.uniform(108, 124)))
    return Body(seed, shapes, lesions, resected - {"prostate"}, sex, rotation, shift, warp, girth)


def _vary(r: np.random.Generator, name: str, parts: Sequence[Shape]) -> list[Shape]:
    """Jitter an organ's position and size; bones and tubes along the spine stay together."""
    fixed = name.startswith(("vertebrae", "intervertebral", "spinal", "rib", "autochthon"))
    move = r.uniform(-2, 2, 3) if fixed else r.uniform(-9, 9, 3)
    grow = r.uniform(0.94, 1.06) if fixed else r.uniform(0.85, 1.18)
    if name.startswith("vertebrae"):
        move, grow = np.zeros(3), 1.0
    return [
        Shape(
            tuple((x + move[0], y + move[1], z + move[2]) for x, y, z in part.points),
            tuple(grow * np.array(part.radii)),
        )
        for part in parts
    ]


def _lesions(r: np.random.Generator, shapes: Mapping[str, Sequence[Shape]]) -> list[Lesion]:
    kinds = [
        ("liver", "cyst", -75),
        ("liver", "metastasis", -45),
        ("kidney_left", "cyst", -130),
        ("kidney_right", "cyst", -130),
    ]
    kinds += [("lung_left", "nodule", 850), ("lung_right", "nodule", 850), ("spleen", "cyst", -80)]
    lesions = []
    for organ, kind, contrast in kinds:
        if organ in shapes and r.random() < 0.25:
            main = shapes[organ][0]
            centre = np.array(main.points[0]) + r.uniform(-0.45, 0.45, 3) * main.radii
            radius = float(r.uniform(6, 15))
            lesions.append(Lesion(organ, kind, Shape((tuple(centre),), (radius,) * 3), contrast))
    return lesions
