"""Learning curves: which charts a training has, what their lines are, and how long trainings are thinned out."""

import re

import pytest

from refrad.reporting.learning_curves import Line, curve, learning_curves, smoothed


def step(number, **changes):
    values = {
        "step": number,
        "loss": 2.0,
        "learning_rate": 1e-3,
        "grad_norm": 0.5,
        "skipped": False,
        "task": {"vqa": 2.0},
    }
    return values | changes


POINTS = [
    {"step": 2, "seconds": 1.0, "loss": 2.0, "validation_loss": 3.0, "task_losses": {"vqa": 3.5}, "score": None},
    {"step": 4, "seconds": 2.0, "loss": 1.0, "validation_loss": 2.5, "task_losses": {"vqa": 3.0}, "score": None},
]


def lines_of(chart):
    return {line.name: list(line.points) for line in chart.lines}


def test_curve_names_its_lines_and_its_axes():
    drawn = curve([Line("training", [(0, 2.0), (500, 1.0)]), Line("validation", [(500, 1.5)])], "step", "loss")
    assert drawn.count("<polyline") == 2 and "Curves of loss over step: training, validation" in drawn
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert texts == ["loss", "0", "0", "1", "250", "2", "500", "step"]


def test_higher_values_are_drawn_higher_and_later_steps_to_the_right():
    drawn = curve([Line("a", [(0, 2.0), (10, 0.0)])], "step", "loss")
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in re.search(r'points="([^"]*)"', drawn)[1].split())
    assert x0 < x1 and y0 < y1  # y of an SVG points down


def test_charts_of_a_training():
    steps = [step(number, loss=4.0 - number, learning_rate=1e-3 * number) for number in range(1, 5)]
    loss, rate, norm = learning_curves(POINTS, steps)
    assert lines_of(loss)["training, each step"] == [(1, 3.0), (2, 2.0), (3, 1.0), (4, 0.0)]
    assert lines_of(loss)["validation patients"] == [(2, 3.0), (4, 2.5)]
    assert loss.caption == "No step was skipped."
    assert [y for _, y in lines_of(rate)["learning rate"]] == pytest.approx([1e-3, 2e-3, 3e-3, 4e-3])
    assert lines_of(norm)["each step"] == [(number, 0.5) for number in range(1, 5)]


def test_each_task_has_a_line_of_training_and_of_validation():
    steps = [step(1, task={"vqa": 4.0}), step(2, task={"locate": 1.0}), step(3, task={"vqa": 4.0, "locate": 1.0})]
    by_title = {chart.title: chart for chart in learning_curves(POINTS, steps)}
    tasks = by_title["Loss of each task"]
    assert lines_of(tasks)["vqa"] == [(1, 4.0), (3, 4.0)] and lines_of(tasks)["locate"] == [(2, 1.0), (3, 1.0)]
    assert lines_of(tasks)["vqa, validation"] == [(2, 3.5), (4, 3.0)]
    assert len({line.colour for line in tasks.lines}) == 2  # one for each task


def test_skipped_steps_are_counted_and_leave_no_point():
    steps = [step(1), step(2, loss=None, grad_norm=None, skipped=True), step(3)]
    loss, _, norm = learning_curves(POINTS, steps)
    assert loss.caption.startswith("1 skipped step:")
    assert [x for x, _ in lines_of(norm)["each step"]] == [1, 3]


def test_metric_of_the_best_weights_has_a_chart():
    points = [point | {"score": 0.25 * number} for number, point in enumerate(POINTS, 1)]
    chart = next(chart for chart in learning_curves(points, []) if "Metric" in chart.title)
    assert lines_of(chart) == {"validation patients": [(2, 0.25), (4, 0.5)]}


def test_training_of_an_earlier_release_has_its_loss():
    old = [{name: point[name] for name in ("step", "seconds", "loss", "validation_loss")} for point in POINTS]
    (loss,) = learning_curves(old, [])
    assert lines_of(loss) == {"training": [(2, 2.0), (4, 1.0)], "validation patients": [(2, 3.0), (4, 2.5)]}


def test_long_training_is_drawn_by_means_of_consecutive_steps():
    steps = [step(number, loss=float(number % 2)) for number in range(1, 100_001)]
    raw = lines_of(learning_curves(POINTS, steps)[0])["training, means of 250 steps"]
    assert len(raw) <= 400 and raw[-1][0] == 100_000
    assert all(value == pytest.approx(0.5) for _, value in raw)


def test_smoothing_begins_with_the_first_value_and_keeps_a_constant():
    # an average over three points keeps two thirds: (2/3 * 1/3 * 3 + 1/3 * 6) / (2/3 * 1/3 + 1/3) = (2/3 + 2) / (5/9) = 4.8
    assert smoothed([(1, 3.0), (2, 6.0)]) == [(1, pytest.approx(3.0)), (2, pytest.approx(4.8))]
    assert [y for _, y in smoothed([(x, 2.0) for x in range(50)])] == pytest.approx([2.0] * 50)


@pytest.mark.parametrize(
    ("highest", "label"), [(0.002, "2.0e-3"), (2.0e-5, "2.0e-5"), (12.34, "12.3"), (1234.0, "1,234")]
)
def test_label_of_an_axis_fits_next_to_it(highest, label):
    drawn = curve([Line("rate", [(0, 0.0), (1, highest)], "#000")], "step", "rate")
    assert f">{label}</text>" in drawn and len(label) <= 6
