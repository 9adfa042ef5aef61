"""What a site must say itself for its own data, and its private files: nothing of the demo may pass into a dataset of patients."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from refrad.config.deliveries import is_demo
from refrad.config.imaging import SEGMENTERS
from refrad.core.private_files import REMOVALS, REVIEW
from refrad.privacy.choice_lists import read_choice_list
from refrad.privacy.keys import holds_demo_key

if TYPE_CHECKING:
    from refrad.config.config import Config

__all__ = ["DEMO_CARD", "DEMO_WEIGHTS", "demo_findings", "fill_in_demo", "is_demo_weights", "private_findings"]

# The card of a dataset of the demo alone.
DEMO_CARD: Mapping[str, str] = {"title": "RefRad demo", "creator": "RefRad", "terms": "CC0-1.0"}
WANTED: Mapping[str, str] = {
    "title": "the name of your dataset",
    "creator": "your institution",
    "terms": 'the license of images and reports, such as CC-BY-4.0 or "Internal use only"',
}
DEMO_RUN = "demo"  # train.name of config.yaml
DEMO_WEIGHTS = "demo weights"  # in the name of a segmenter that has them
NAMES_OF_THE_DEMO = ("title", "creator")  # its terms may be those of any dataset
# refrad.demo.networks writes this file next to a network, and TotalSegmentator does not.
MARK_OF_DEMO_NETWORKS = "Dataset*/*/training.json"


def is_demo_weights(folder: Path) -> bool:
    """Whether a folder of network weights, of whatever name, holds networks that know the demo's synthetic bodies only."""
    return next(folder.glob(MARK_OF_DEMO_NETWORKS), None) is not None


def fill_in_demo(config: "Config") -> "Config":
    """The config with the demo's card where all deliveries are the demo's, and without weights that its segmenter does not read."""
    if all(map(is_demo, config.deliveries)):
        missing = {name: text for name, text in DEMO_CARD.items() if getattr(config.card, name) is None}
        config = config.model_copy(update={"card": config.card.model_copy(update=missing)})
    if not SEGMENTERS[config.masks.segmenter].reads_weights:
        config = config.model_copy(update={"masks": config.masks.model_copy(update={"weights": None})})
    return config


def demo_findings(config: "Config") -> Iterator[str]:
    """A line for each setting of the demo that deliveries of patients would get, with what to write instead."""
    if all(map(is_demo, config.deliveries)):
        return
    for name, advice in WANTED.items():
        words = getattr(config.card, name)
        if words is None:
            yield f"config: card.{name}: missing, and has no default for your own data: write {advice}"
        elif name in NAMES_OF_THE_DEMO and words.strip() == DEMO_CARD[name]:
            yield f"config: card.{name}: is the demo's: write {advice}"
    if holds_demo_key(Path(config.privacy.key)):
        yield (
            "config: privacy.key: is the demo's, which is public: name another file, such as private/key; it is made at"
            " first use"
        )
    if config.train.name == DEMO_RUN and config.train.model is not None:
        yield "config: train.name: is the demo's: write a name for your run, such as site"
    weights = config.masks.weights
    if SEGMENTERS[config.masks.segmenter].reads_weights and (weights is None or is_demo_weights(Path(weights))):
        problem = "missing" if weights is None else "are the demo's, which know synthetic bodies only"
        yield (
            f"config: masks.weights: {problem}: name the folder of TotalSegmentator's weights, or choose masks.segmenter:"
            " precomputed (docs/own-data.md)"
        )


def private_findings(config: "Config") -> Iterator[str]:
    """A line for each private file or folder inside the results, and for each wrong line of the lists of the choice."""
    results = Path(config.pathvars.get("results", "results")).resolve()
    lists = {"index.include": config.index.include, "index.exclude": config.index.exclude}
    places = {"privacy.key": config.privacy.key, "privacy.folder": config.privacy.folder, **lists}
    for key, path in places.items():
        if path is not None and Path(path).resolve().is_relative_to(results):
            yield f"config: {key}: is inside of {results.name}/, which is published: move it, such as to private/"
    yield from _name_findings(config, [path for key, path in places.items() if path and key != "privacy.folder"])
    for key, path in lists.items():
        if path is None:
            continue
        if not Path(path).is_file():
            yield f"config: {key}: no such file: {path}"
            continue
        try:
            entries = read_choice_list(Path(path))
        except ValueError as error:
            yield from (f"config: {key}: {line}" for line in str(error).splitlines())
        else:
            if key == "index.include" and not entries:
                yield f"config: {key}: has no line, so nothing would be used: add some, or write null to use all"


def _name_findings(config: "Config", files: Iterable[str]) -> Iterator[str]:
    """A line for each delivery whose private folder would be one of another use, or a file."""
    private = Path(config.privacy.folder).resolve()
    taken = {private / name for name in (REMOVALS, REVIEW)} | {Path(path).resolve() for path in files}
    names = {str(path).casefold() for path in taken}  # some file systems do not tell capitals apart
    for number, delivery in enumerate(config.deliveries):
        if str(private / delivery.name).casefold() in names:
            yield (
                f"config: deliveries.{number}.name: is taken in {config.privacy.folder}/, where each delivery has a folder:"
                " choose another name"
            )
