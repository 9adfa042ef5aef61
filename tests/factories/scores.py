"""Tables of item scores."""

import polars as pl

from refrad.evaluation.metrics.scoring import STRATA


def scored(names):
    """An item for each name of a region, of two patients in turn; the value is 1 for every second item of a patient."""
    rows = [
        {
            "dataset": "a",
            "id": str(number),
            "task": "locate",
            "metric": "iou",
            "group": f"p{number % 2}",
            **dict.fromkeys(STRATA),
            "class": name,
            "value": float(number % 4 < 2),
        }
        for number, name in enumerate(names)
    ]
    strings = dict.fromkeys(("dataset", "id", "task", "metric", "group", *STRATA), pl.String)
    return pl.DataFrame(rows, schema=strings | {"value": pl.Float64})
