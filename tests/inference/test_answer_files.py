import stat

import numpy as np
import pytest
from PIL import Image
from tests.factories import write_dicom
from tests.factories.answers import answer_about

from refrad.inference.answer_files import AnswerFiles
from refrad.inference.answer_segmentation import AnswerContext
from refrad.inference.predictor import Region

LIVER = Region("liver", "liver", (0.0, 0.0, 20.0, 20.0))


@pytest.fixture
def files(schema):
    return AnswerFiles(("seg", "sr"), AnswerContext("ab" * 16, "en", schema))


def test_files_are_for_the_owner_alone(tmp_path, files):
    image = write_dicom(tmp_path / "a.dcm", np.zeros((48, 80), np.int16))
    assert files.write(answer_about(image, LIVER), tmp_path / "out", "a") == (["a.seg.dcm", "a.sr.dcm"], [])
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o600}


def test_missing_file_has_its_reason_and_the_other_is_written(tmp_path, files):
    image = write_dicom(tmp_path / "a.dcm", np.zeros((48, 80), np.int16))
    written = files.write(answer_about(image), tmp_path, "b")
    assert written == (["b.sr.dcm"], ["no segmentation, since the answer has no region"])


def test_picture_has_no_dicom_files(tmp_path, files):
    Image.new("L", (80, 48)).save(tmp_path / "a.png")
    names, reasons = files.write(answer_about(tmp_path / "a.png", LIVER), tmp_path, "b")
    assert names == [] and reasons == ["a segmentation or report needs a DICOM image, whose study it belongs to"]
