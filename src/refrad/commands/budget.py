"""The command `refrad budget`: GPU hours and disk of the masks, before any run."""

import yaml

from refrad.workflow.mask_budget import RATES, mask_budget

__all__ = ["main"]


def main(*, ct: int, mr: int, variant: str = "total") -> None:
    """Hours and disk that the masks of --ct and --mr volumes of usual sizes take, on each kind of GPU."""
    rates = yaml.safe_load(RATES.read_text(encoding="utf-8"))["masks"]
    print(
        f"{ct} CT and {mr} MR volumes, {variant}: {rates['gpu'][variant]['basis'] if variant in rates['gpu'] else ''}"
    )
    for gpu in rates["bandwidth"]:
        both = mask_budget(rates, "CT", ct, variant, gpu) + mask_budget(rates, "MR", mr, variant, gpu)
        print(f"{gpu:<10}{both.gpu_hours:>10,.0f} GPU hours{both.store_gb:>10,.1f} GB")
