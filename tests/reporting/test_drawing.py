import numpy as np

from refrad.reporting.drawing import (
    class_colour,
    draw_contact_sheet,
    draw_outlines,
    draw_three_views,
    overlay_labels,
    window_grey,
)


def test_adjacent_classes_differ_in_colour():
    for class_id in range(1, 121):
        assert np.abs(np.subtract(class_colour(class_id), class_colour(class_id + 1))).sum() > 60


def test_outline_is_inside_its_mask():
    mask = np.zeros((20, 30), bool)
    mask[5:12, 8:20] = True
    edge = np.asarray(draw_outlines([(5, mask)], mask.shape))[..., 3] > 0
    assert edge.sum() == 2 * (7 + 12) - 4 and not (edge & ~mask).any()


def test_soft_tissue_is_neither_black_nor_white():
    assert window_grey(np.array([[-1000, 40, 3000]]), "CT").tolist() == [[0, 127, 255]]


def test_background_keeps_its_grey():
    coloured = overlay_labels(np.full((2, 2), 100, np.uint8), np.array([[0, 5], [0, 0]], np.uint8))
    assert (coloured[0, 0] == 100).all() and not (coloured[0, 1] == 100).all()


def test_three_views_have_true_proportions():
    volume = np.zeros((40, 20, 10), np.int16)
    joined = draw_three_views(volume, (1.0, 2.0, 8.0), "CT", height=100)
    assert joined.size == (100 + 50 + 50 + 8, 100)


def test_contact_sheet_keeps_proportions_and_order():
    slices = [(np.full((10, 20), 50 * k, np.uint8), 2.0) for k in range(1, 4)]
    sheet = np.asarray(draw_contact_sheet(slices, columns=2, side=44))
    assert sheet.shape == (88, 88)
    for k, (line, column) in enumerate([(0, 0), (0, 1), (1, 0)], 1):
        square = sheet[44 * line : 44 * line + 44, 44 * column : 44 * column + 44]
        rows, columns = np.nonzero(square == 50 * k)
        assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (40, 20)
    assert not sheet[44:, 44:].any()
