"""What segmentation costs: hours of a GPU and bytes of the store, from the sizes of the volumes. An estimate, before any run."""

from dataclasses import dataclass

__all__ = ["BANDWIDTH", "Budget", "main", "mask_budget"]

# GB/s of memory, from the data sheets. The networks are bound by it: their layers have few channels and many voxels. That
# time falls with bandwidth is an assumption; after a first shard, `refrad plan` knows the site's own times.
BANDWIDTH = {"RTX 3090": 936, "T4": 320, "V100": 900, "A40": 696, "L40S": 864, "A100": 2039, "H100": 3350}
# Published by TotalSegmentator's authors: 512 x 512 x 280 voxels on an RTX 3090 in 77 s (1.5 mm) and 34 s (3 mm), one command
# a volume. `fastest` is assumed to take half of `fast`, since little is left beside reading and resampling.
SECONDS = {"total": 77.0, "fast": 34.0, "fastest": 17.0}
LITRES = 512 * 512 * 280 * 0.8 * 0.8 * 1.5 / 1e6  # that such a volume covers, at usual spacings
NETWORKS = {"CT": 1.0, "MR": 0.4}  # MR: two networks instead of five for `total`
BITS = 0.08  # per voxel in the store, of labels at 0.75 mm; docs/masks.md


@dataclass(frozen=True)
class Budget:
    """GPU hours and GB (10^9 bytes) of the mask store."""

    gpu_hours: float
    store_gb: float

    def __add__(self, other: "Budget") -> "Budget":
        return Budget(self.gpu_hours + other.gpu_hours, self.store_gb + other.store_gb)


def mask_budget(
    modality: str, volumes: int, variant: str, gpu: str, voxels: float = 512 * 512 * 280, litres: float = LITRES
) -> Budget:
    """An estimate for volumes of one modality.

    Args:
        modality: "CT" or "MR".
        volumes: how many.
        variant: "total", "fast" or "fastest".
        gpu: a key of `BANDWIDTH`.
        voxels: of a volume, on average; the bytes follow from them.
        litres: that a volume covers, on average; the hours follow from them, as the networks see voxels of one size.

    Raises:
        ValueError: if variant or gpu is not known.
    """
    if variant not in SECONDS or gpu not in BANDWIDTH:
        raise ValueError(f"not known: {variant}, {gpu} (variants: {', '.join(SECONDS)}; GPUs: {', '.join(BANDWIDTH)})")
    share = NETWORKS[modality] if variant == "total" else 1.0
    seconds = SECONDS[variant] * share * litres / LITRES * BANDWIDTH["RTX 3090"] / BANDWIDTH[gpu]
    return Budget(volumes * seconds / 3600, volumes * voxels * BITS / 8 / 1e9)


def main(*, ct: int, mr: int, variant: str = "total") -> None:
    """Hours and disk that the masks of --ct and --mr volumes take, on each kind of GPU. MR: 320 x 320 x 40 voxels of 15 litres."""
    print(f"{ct} CT and {mr} MR volumes, {variant}")
    for gpu in BANDWIDTH:
        both = mask_budget("CT", ct, variant, gpu) + mask_budget("MR", mr, variant, gpu, 320 * 320 * 40, 15.0)
        print(f"{gpu:<10}{both.gpu_hours:>10,.0f} GPU hours{both.store_gb:>10,.1f} GB")
