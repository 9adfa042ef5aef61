"""What segmentation costs: hours of a GPU and bytes of the store, from the sizes of the volumes. An estimate, before any run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["RATES", "Budget", "main", "mask_budget"]

RATES = Path("workflow/rates.yaml")  # which says where each of its figures comes from


@dataclass(frozen=True)
class Budget:
    """GPU hours and GB (10^9 bytes) of the mask store."""

    gpu_hours: float
    store_gb: float

    def __add__(self, other: "Budget") -> "Budget":
        return Budget(self.gpu_hours + other.gpu_hours, self.store_gb + other.store_gb)


def mask_budget(
    rates: Mapping[str, Any],
    modality: str,
    volumes: int,
    variant: str,
    gpu: str | None = None,
    *,
    voxels: float | None = None,
    litres: float | None = None,
) -> Budget:
    """An estimate for volumes of one modality.

    Args:
        rates: section `masks` of workflow/rates.yaml.
        modality: "CT" or "MR".
        volumes: how many.
        variant: "total", "fast" or "fastest".
        gpu: one of the rates' `bandwidth`; None: the card that the seconds were measured on.
        voxels: of a volume, on average; the bytes follow from them. None: of a usual one.
        litres: that a volume covers, on average; the hours follow from them. None: of a usual one.

    Raises:
        ValueError: if variant or gpu is not known.
    """
    cards, times = rates["bandwidth"], {name: one["seconds"] for name, one in rates["gpu"].items() if name != "card"}
    gpu = gpu or rates["gpu"]["card"]
    if variant not in times or gpu not in cards:
        raise ValueError(f"not known: {variant}, {gpu} (variants: {', '.join(times)}; GPUs: {', '.join(cards)})")
    usual = rates["volumes"][modality]
    share = (usual["litres"] if litres is None else litres) / rates["volumes"]["CT"]["litres"]
    share *= usual["networks"] if variant == "total" else 1.0
    seconds = times[variant] * share * cards[rates["gpu"]["card"]] / cards[gpu]
    return Budget(
        volumes * seconds / 3600, volumes * (usual["voxels"] if voxels is None else voxels) * rates["bits"] / 8 / 1e9
    )


def main(*, ct: int, mr: int, variant: str = "total") -> None:
    """Hours and disk that the masks of --ct and --mr volumes of usual sizes take, on each kind of GPU."""
    rates = yaml.safe_load(RATES.read_text(encoding="utf-8"))["masks"]
    print(
        f"{ct} CT and {mr} MR volumes, {variant}: {rates['gpu'][variant]['basis'] if variant in rates['gpu'] else ''}"
    )
    for gpu in rates["bandwidth"]:
        both = mask_budget(rates, "CT", ct, variant, gpu) + mask_budget(rates, "MR", mr, variant, gpu)
        print(f"{gpu:<10}{both.gpu_hours:>10,.0f} GPU hours{both.store_gb:>10,.1f} GB")
