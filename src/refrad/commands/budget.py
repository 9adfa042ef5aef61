"""Cost of segmentation: GPU hours and disk space of the masks, estimated before any run."""

from refrad.workflow.mask_budget import mask_budget
from refrad.workflow.rates import VARIANTS, load_rates

__all__ = ["main"]


def main(*, ct: int, mr: int, variant: str = "total") -> None:
    """Print GPU hours and disk space for the masks of --ct and --mr volumes of typical sizes, for each kind of GPU."""
    rates = load_rates()["masks"]
    bases = {str(name): rates["gpu"][name]["basis"] for name in VARIANTS}
    print(f"{ct} CT and {mr} MR volumes, {variant}: {bases.get(variant, '')}")
    for gpu in rates["bandwidth"]:
        total = mask_budget(rates, "CT", ct, variant, gpu) + mask_budget(rates, "MR", mr, variant, gpu)
        print(f"{gpu:<10}{total.gpu_hours:>10,.0f} GPU hours{total.store_gb:>10,.1f} GB")
