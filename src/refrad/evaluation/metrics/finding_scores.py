"""Scores of findings: hit rate, Dice, instances, pointing game and side of the regions of one name, and specificity.

A finding is a name in the truth of one image, with all its regions ("nodule" with three boxes is one finding of three instances).
Regions of the answer belong to the finding if they have its name. Everything is 2D: boxes, or masks of the image's pixels.

Sources: ReXGroundingCT (Baharoon et al., arXiv 2507.22030) with the definitions of its leaderboard (rexrank.ai/ReXGroundingCT) for
hits, Dice and instances; Zhang et al., IJCV 2018 (arXiv 1608.00507) for the pointing game; He et al., arXiv 2308.16182 (GREC), for
specificity, which they name no-target accuracy.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scipy.optimize import linear_sum_assignment

from refrad.evaluation.metrics.comparability import image_size
from refrad.evaluation.metrics.grounding import EntityName, Region, is_mask, name_of, phrase_key, same_name
from refrad.evaluation.metrics.records import EntityRecord, PredictionRecord, TruthRecord
from refrad.evaluation.metrics.region_grid import (
    BoxPair,
    RegionGrid,
    as_box,
    as_mask,
    components,
    contains,
    crop,
    deepest_point,
    has_area,
    region_grid,
    within,
)

__all__ = ["FINDING_METRICS", "UNPAIRED", "FindingScores", "score_findings"]

HIT = 0.1  # Dice from which a finding is hit, and
INSTANCE = 0.2  # from which two instances may match: ReXGroundingCT
ROUNDING = 1e-9  # of shares of areas
ONE_SIDED = 0.9  # share of a finding's area that lies on one side if the finding has a side

FINDING_METRICS: Mapping[str, str] = {
    "finding_dice": "findings (all true regions of a name): Dice of the union of the true with the union of the answer's regions of the"
    " name, 0 without one. Ignores how many regions there are, and regions of other names.",
    "hit10": "share of the findings with a Dice (as finding_dice) of at least 0.1, the hit rate of ReXGroundingCT. Ignores everything"
    " above 0.1.",
    "instance_recall": "share of the true instances that match an instance of the answer, one to one, with a Dice of at least 0.2; the"
    " parts of the only mask of a name are instances. Ignores surplus instances.",
    "instance_precision": "share of the answer's instances of the names of true findings that match a true instance. Ignores missing"
    " instances, and regions of other names.",
    "instance_f1": "harmonic mean of instance_precision and instance_recall over all instances: 2 x matched / (true + answered)."
    " Ignores how well the matched overlap, and regions of other names.",
    "pointing": "share of the findings for which the centre of the answer's first region of the name (of a mask: its deepest pixel) is"
    " in a true region, 0 without one. Ignores size and further regions.",
    "side_accuracy": "share of the findings on one side of the midline for which more than half of the answer's area is on that side,"
    " 0 without a region. Ignores the position within the side; leaves out findings on both sides.",
    "specificity": "share of the findings that the truth states to be absent for which the answer has no region. Ignores the findings"
    " that are present; an unanswered question counts as wrong.",
}
# The instances of two models are not the same items: their shares are paired by question.
UNPAIRED = ("instance_precision", "instance_f1")


@dataclass(frozen=True)
class FindingScores:
    """The scores of one finding.

    Attributes:
        name: class and text of the finding; None for an image without any.
        category: that the truth gives it.
        share: of the image that the finding covers; None if the size of the image is unknown, or the finding is absent.
        values: metric and value; of the metrics of instances one value for each instance. `side_accuracy` is missing if the finding
            has no side.
    """

    name: EntityName | None
    category: str | None
    share: float | None
    values: Sequence[tuple[str, float]]

    @property
    def lacks_side(self) -> bool:
        """True if the finding is present, but not on one side, or the width of the image is unknown."""
        metrics = {metric for metric, _ in self.values}
        return "finding_dice" in metrics and "side_accuracy" not in metrics


def score_findings(true: TruthRecord, prediction: PredictionRecord) -> Iterator[FindingScores]:
    """The scores of each finding of one question of task locate or detect.

    A region without any area counts as no region. A finding without a region on both sides has no Dice: it counts as right for
    `specificity` alone, so that empty images raise no other mean.

    Raises:
        ValueError: if a box is compared with a mask, or two masks differ in size.
    """
    answered = [(name_of(entity), region) for entity, region in _with_area(prediction.entities)]
    for entities in _by_name(true.entities):
        name = name_of(entities[0])
        category = entities[0].category or true.category
        predicted = [region for answered_name, region in answered if same_name(answered_name, name)]
        if regions := [region for _, region in _with_area(entities)]:
            yield _score_present(name, category, regions, predicted, true)
        else:
            yield _score_absent(name, category, predicted, prediction)
    for text in true.absent:
        name = (None, phrase_key(text))
        predicted = [region for answered_name, region in answered if answered_name[1] == name[1]]
        yield _score_absent(name, true.category, predicted, prediction)
    if true.no_region_due:
        yield _score_absent(None, true.category, [region for _, region in answered], prediction)


def _with_area(entities: Sequence[EntityRecord]) -> list[tuple[EntityRecord, Region]]:
    """The entities whose region covers anything, with their regions; masks as bool [height, width]."""
    regions = [(entity, as_mask(entity.region) if is_mask(entity.region) else entity.region) for entity in entities]
    return [(entity, region) for entity, region in regions if has_area(region)]


def _by_name(entities: Sequence[EntityRecord]) -> list[list[EntityRecord]]:
    """Entities of the same name together, in the order of their first ones."""
    if len(entities) == 1:
        return [list(entities)]
    groups: list[list[EntityRecord]] = []
    for entity in entities:
        group = next((group for group in groups if same_name(name_of(group[0]), name_of(entity))), None)
        if group is None:
            groups.append([entity])
        else:
            group.append(entity)
    return groups


def _score_absent(
    name: EntityName | None, category: str | None, predicted: Sequence[Region], prediction: PredictionRecord
) -> FindingScores:
    right = prediction.is_given and not predicted
    return FindingScores(name, category, None, [("specificity", float(right))])


def _score_present(
    name: EntityName, category: str | None, true: Sequence[Region], predicted: Sequence[Region], row: TruthRecord
) -> FindingScores:
    size = image_size(true, row.size)
    midline = row.midline if row.midline is not None else size[0] / 2 if size else None
    if all(map(is_mask, [*true, *predicted])):
        masks, first_column = crop([as_mask(region) for region in [*true, *predicted]])
        true, predicted = masks[: len(true)], masks[len(true) :]
        midline = None if midline is None else midline - first_column
    grid = region_grid(true, predicted)
    dice = grid.dice()
    values = [("finding_dice", dice), ("hit10", float(dice >= HIT - ROUNDING))]

    # Instances: the listed regions, or the parts of the only mask. It does not matter which of them count as matched.
    instances = region_grid(_instances(true), _instances(predicted)) if is_mask(true[0]) else grid
    matched = _count_matches(instances)
    sides = [
        (metric, number < matched)
        for metric, count in (
            ("instance_recall", len(instances.true)),
            ("instance_precision", len(instances.predicted)),
        )
        for number in range(count)
    ]
    values += [(metric, float(is_matched)) for metric, is_matched in sides]
    values += [("instance_f1", float(is_matched)) for _, is_matched in sides]

    # Position
    pointed = bool(predicted) and any(contains(region, *deepest_point(predicted[0])) for region in true)
    values.append(("pointing", float(pointed)))
    if midline is not None and (is_same_side := _is_same_side(grid, midline)) is not None:
        values.append(("side_accuracy", float(is_same_side)))
    return FindingScores(name, category, _share(grid, true, size) if size else None, values)


def _share(grid: RegionGrid | BoxPair, true: Sequence[Region], size: tuple[float, float]) -> float:
    """The share of an image of some width and height that the regions cover; what is beyond it does not count."""
    if not is_mask(true[0]):
        inside = [within(as_box(region), size) for region in true]
        grid = grid if inside == list(true) else region_grid(inside, [])
    return grid.true_area() / (size[0] * size[1])


def _instances(regions: Sequence[Region]) -> Sequence[Region]:
    return components(as_mask(regions[0])) if len(regions) == 1 else regions


def _count_matches(grid: RegionGrid | BoxPair) -> int:
    """The largest number of pairs, one to one, of a true and a predicted instance with a Dice of at least 0.2."""
    if isinstance(grid, BoxPair):
        return int(grid.dice() >= INSTANCE - ROUNDING)
    allowed = grid.dices() >= INSTANCE - ROUNDING
    if min(allowed.shape) <= 1:
        return int(allowed.any())
    return int(allowed[linear_sum_assignment(allowed, maximize=True)].sum())


def _is_same_side(grid: RegionGrid | BoxPair, midline: float) -> bool | None:
    """True if more than half of the predicted area is on the side of the true one; None if the finding is on both sides."""
    true, predicted = grid.shares_below(midline)
    if ONE_SIDED - ROUNDING > true > 1 - ONE_SIDED + ROUNDING:
        return None
    return predicted > 0.5 if true > 0.5 else predicted < 0.5
