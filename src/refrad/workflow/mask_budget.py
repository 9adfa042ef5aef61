"""Estimated GPU hours and disk of segmentation, from the sizes of the volumes."""

from dataclasses import dataclass

from refrad.workflow.rates import VARIANTS, MaskRates

__all__ = ["Budget", "mask_budget"]


@dataclass(frozen=True)
class Budget:
    """GPU hours and GB (10^9 bytes) of the mask store."""

    gpu_hours: float
    store_gb: float

    def __add__(self, other: "Budget") -> "Budget":
        return Budget(self.gpu_hours + other.gpu_hours, self.store_gb + other.store_gb)


def mask_budget(
    rates: MaskRates,
    modality: str,
    volumes: int,
    variant: str,
    gpu: str | None = None,
    *,
    voxels: float | None = None,
    litres: float | None = None,
) -> Budget:
    """The estimated budget of the masks of volumes of one modality.

    Args:
        rates: section `masks` of workflow/rates.yaml.
        modality: "CT" or "MR".
        volumes: their number.
        variant: "total", "fast" or "fastest".
        gpu: one of the rates' `bandwidth`; None: the card that the seconds were measured on.
        voxels: of a volume, on average; the bytes follow from them. None: of a usual one.
        litres: that a volume covers, on average; the hours follow from them. None: of a usual one.

    Raises:
        ValueError: if variant or gpu is not known.
    """
    cards, times = rates["bandwidth"], {str(name): rates["gpu"][name]["seconds"] for name in VARIANTS}
    gpu = gpu or rates["gpu"]["card"]
    seconds = times.get(variant)
    if seconds is None or gpu not in cards:
        raise ValueError(f"not known: {variant}, {gpu} (variants: {', '.join(times)}; GPUs: {', '.join(cards)})")
    usual = rates["volumes"][modality]
    share = (usual["litres"] if litres is None else litres) / rates["volumes"]["CT"]["litres"]
    share *= usual["networks"] if variant == "total" else 1.0
    seconds *= share * cards[rates["gpu"]["card"]] / cards[gpu]
    return Budget(
        volumes * seconds / 3600, volumes * (usual["voxels"] if voxels is None else voxels) * rates["bits"] / 8 / 1e9
    )
