"""What a recipe expects of a site: the folders of its models, as small as the checks before a run allow, and a delivery."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from refrad.config.downloads import VOCABULARY

__all__ = ["RECIPES", "SITE_OF_RECIPES", "paths_of_recipe", "write_site_of_recipe"]

RECIPES = ("refrad2d", "refrad2d-24gb")
# All that a site must add to a recipe
SITE_OF_RECIPES = {
    "deliveries": [
        {
            "name": "archive",
            "dicom": "export/dicom",
            "reports": "export/reports.csv",
            "references": None,
            "masks": None,
            "shards": 2,
        }
    ],
    "privacy": {"key": "private/key", "folder": "private"},
    "card": {"title": "CT and MR of a site", "creator": "A hospital", "terms": "Internal use only"},
}


def paths_of_recipe(recipe: Mapping[str, Any]) -> set[str]:
    """All paths inside of `models/` and `public/` that a recipe names."""
    return {text for text in _texts(recipe) if text.startswith(("models/", "public/"))}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def write_site_of_recipe(folder: Path, recipe: Mapping[str, Any]) -> Path:
    """Write an empty delivery and made-up files at the recipe's paths below a folder; returns the site's config."""
    for name in paths_of_recipe(recipe):
        path = folder / name
        if name.startswith("public/") or path.name == "python":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            continue
        path.mkdir(parents=True)
        if path.name == "encodings":
            (path / VOCABULARY).touch()
        elif path.name != "totalsegmentator":
            kind = "gpt_oss" if path.name.startswith("gpt-oss") else "made_up"
            (path / "config.json").write_text(json.dumps({"model_type": kind}), encoding="utf-8")
    (folder / "export" / "dicom").mkdir(parents=True)
    (folder / "export" / "reports.csv").write_text("report_id,text,study_uid\n", encoding="utf-8")
    site = folder / "site.yaml"
    site.write_text(yaml.safe_dump(SITE_OF_RECIPES), encoding="utf-8")
    return site
