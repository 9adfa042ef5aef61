import base64
import io

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from refrad.core.contracts import MaskTable, VolumeTable
from refrad.core.tables import read_table
from refrad.reporting.views import Views, three_views, volume_figures, volume_sheet

EDGES = [("R", "L", "A", "P"), ("R", "L", "H", "F"), ("A", "P", "H", "F")]


def pixels_of(picture):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2]))))


def body(schema):
    """A volume 41 x 21 x 11 of 1 x 2 x 4 mm with the liver on the patient's right."""
    classes = np.zeros((41, 21, 11), np.uint8)
    classes[2:22, 5:15, 1:7] = 5
    affine = np.diag([-1.0, -2.0, 4.0, 1.0])
    return Views(np.where(classes > 0, 60, -60).astype(np.int16), affine, "CT", classes, schema)


def test_three_views_are_hung_in_true_proportions(schema):
    axial, coronal, sagittal = three_views(body(schema))
    assert [view.edges for view in (axial, coronal, sagittal)] == EDGES
    assert (axial.aspect, coronal.aspect, sagittal.aspect) == pytest.approx((41 / 42, 41 / 44, 42 / 44))


@pytest.mark.parametrize("codes", ["LPS", "RAS", "RAI", "PSR", "ILA", "SAL"])
def test_views_of_a_volume_are_the_same_however_it_is_stored(schema, codes):
    views = body(schema)
    target = nib.orientations.axcodes2ornt(codes)
    turn = nib.orientations.ornt_transform(nib.io_orientation(views.affine), target)
    arrays = [nib.orientations.apply_orientation(array, turn) for array in (views.values, views.classes)]
    affine = views.affine @ nib.orientations.inv_ornt_aff(turn, views.values.shape)
    turned = Views(arrays[0], affine, "CT", arrays[1], schema)
    for expected, view in zip(three_views(views), three_views(turned), strict=True):
        assert view.edges == expected.edges and view.aspect == pytest.approx(expected.aspect)
        assert np.array_equal(pixels_of(view), pixels_of(expected))


def test_view_through_a_point_shows_the_organ_there(schema):
    views = body(schema)
    low = Views(views.values, views.affine, "CT", views.classes, schema, at=[5, 8, 2])
    axial, coronal, _ = (pixels_of(view).mean(axis=2) for view in three_views(low))
    rows, columns = np.nonzero(axial > axial.min() + 40)
    assert columns.min() >= 2 and columns.max() < 22 and rows.min() == 5 and rows.max() == 14  # at the edge R
    assert np.nonzero(coronal > coronal.min() + 40)[0].min() == 4  # near the feet: slices 1 to 6 of 11
    assert low.visible_classes() == [5] and body(schema).visible_classes() == [5]


def test_figures_of_masks_have_a_legend(study, schema):
    study.structures()
    tables = [
        read_table(study.path(name), contract) for name, contract in (("volumes", VolumeTable), ("masks", MaskTable))
    ]
    figures = volume_figures(*tables, study.volume_store, study.mask_store, schema)
    (plain,), (labelled,) = figures["volumes"], figures["masks"]
    assert [chip.name for chip in labelled.legend] == ["liver", "right kidney", "left kidney"]
    assert not plain.legend and len(labelled.pictures) == len(plain.pictures) == 3
    assert "volume v, patient p" in labelled.caption
    assert plain.pictures[0].uri != labelled.pictures[0].uri


def test_middle_slices_keep_letters_and_proportions(study):
    sheet = volume_sheet(read_table(study.path("volumes"), VolumeTable), study.volume_store)
    (picture,) = sheet.pictures
    assert picture.edges == ("R", "L", "A", "P") and picture.aspect == pytest.approx(32 / 24) and picture.note == "v"
    assert "1 of 1 volumes" in sheet.caption


def test_no_volumes_give_no_middle_slices(study):
    assert volume_sheet(read_table(study.path("volumes"), VolumeTable).head(0), study.volume_store) is None
