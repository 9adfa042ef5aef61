"""What the loaders of the paper's released code do with an export, in our own words (lmb-freiburg/radgrounder, a8f332b).

They find everything by five environment variables, work in any folder, read sentences and questions of both languages, and tag a
keyword wherever it stands in its sentence as whole words. Where they would raise or tag twice, this raises.
"""

import io
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas
import pydicom
import zstandard

LANGUAGES = {"english": "keywords_eng", "german": "keywords_de"}
TAG = re.compile(r"<box (\d+)>(.*?)</box>")


def environment(folder):
    """The variables that environment.sh of an export sets."""
    lines = (folder / "environment.sh").read_text().splitlines()
    return {
        name: Path(value) for name, _, value in (shlex.split(line)[1].partition("=") for line in lines if line.strip())
    }


class PaperLoaders:
    """All loaders on one export, for the modalities `ct`, `mr` or `all`."""

    def __init__(self, folder, modality="all"):
        paths = environment(folder)
        assert all(path.is_absolute() and path.exists() for path in paths.values())
        self.dicom = paths["REFRAD2D_DICOM_DIR"]
        self.splits, self.segments = paths["REFRAD2D_SPLIT_DIR"], paths["REFRAD2D_SEGMENT_DIR"]
        self.classes = json.loads(paths["REFRAD2D_LABEL_MAP"].read_text())
        self.modalities = ("ct", "mr") if modality == "all" else (modality,)
        table = pandas.read_parquet(paths["REFRAD2D_VQA_PARQUET"]).set_index("rsopid")
        self.rows = table.to_dict(orient="index")  # refuses an id that comes twice
        self.indexed = self._merged("rsopid_2_segment_v3_{}.json")
        self.sampled = self._merged("refrad2d_sampled_dataset_v3_{}.json")

    def _merged(self, name):
        tables = [json.loads((self.segments / name.format(modality)).read_text()) for modality in self.modalities]
        return {key: value for table in tables for key, value in table.items()}

    def snippets(self, split):
        """Snippet to ids; a snippet of two modalities would lose one of them."""
        merged = {}
        for modality in self.modalities:
            name = f"snippet2rsopids_{split}_{modality}_only.json"
            table = json.loads((self.splits / f"filtered_{modality}_splits" / name).read_text())
            assert not merged.keys() & table.keys()
            merged |= table
        return merged

    def image(self, rsopid):
        """The values of a picture, [row, column]."""
        data = zstandard.decompress((self.dicom / rsopid[:2] / f"{rsopid}.dcm.zst").read_bytes())
        image = pydicom.dcmread(io.BytesIO(data))
        return image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)

    def report(self, rsopid, language):
        """Prior knowledge and sentence."""
        texts = self.rows[rsopid][language]
        before = [texts[key].strip() for key in ("ReportFragestellungCleaned", "ReportKlinischeAngabenCleaned")]
        return before, texts["CleanedSentence"]

    def questions(self, rsopid, language):
        """All questions, of which one is drawn: without any the loader raises."""
        texts = self.rows[rsopid][language]
        questions = [*texts["dicom_vqa"], *texts["snippet_vqa"]]
        assert questions
        for question in questions:
            assert question["question_type"] in {"open", "yesno", "multiple"}
            assert question["question_type"] != "multiple" or len(question["choices"]) > 1
        return questions

    def boxed(self, rsopid):
        """Whether the loaders show the sentence with boxes: it has keywords in both languages."""
        entry = self.indexed.get(rsopid)
        return bool(entry) and all(entry[key] for key in LANGUAGES.values())

    def detection(self, rsopid, language):
        """The sentence with its tags, as text, and class to box, in px."""
        entry, text = self.indexed[rsopid], self.report(rsopid, language)[1]
        boxes = {}
        for *box, class_id in entry["bboxes"]:
            boxes.setdefault(class_id, box)
        for keyword, name, class_id in entry[LANGUAGES[language]]:
            assert self.classes[name] == class_id
            text, count = re.subn(rf"\b{re.escape(keyword)}\b", f"<box {class_id}>{keyword}</box>", text)
            assert count and class_id in boxes
        assert not re.search(r"<box \d+>[^<]*<box", text), "nested tags"
        return text, boxes

    def masks(self, rsopid, language):
        """Class to mask of each keyword, [row, column]."""
        entry = self.indexed[rsopid]
        labels = np.load(entry["segment_slice_path"])
        assert labels.shape == self.image(rsopid).shape
        return {class_id: labels == class_id for _, _, class_id in entry[LANGUAGES[language]]}

    def visible(self, split):
        """Name, picture float32 and boxes of the images of a split, for questions about what is visible."""
        ids = {rsopid for group in self.snippets(split).values() for rsopid in group}
        names = {class_id: name for name, class_id in self.classes.items()}
        for name, sample in self.sampled.items():
            if sample["rsopid"] in ids:
                picture = np.load(sample["scan_slice_path"])
                assert np.load(sample["segment_slice_path"]).shape == picture.shape
                assert picture.dtype == np.float32 and all(box[4] in names for box in sample["bboxes"])
                yield name, picture, sample["bboxes"]
