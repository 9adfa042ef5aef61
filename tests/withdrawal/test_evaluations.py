"""Evaluations without the questions about a patient."""

import json
from types import SimpleNamespace

from refrad.core.manifests import changed_files, write_sealed
from refrad.evaluation.metrics.json_lines import write_objects
from refrad.withdrawal.evaluations import evaluations_with, thin_evaluation

GONE, LEFT = {"id": "q1", "image_id": "i1"}, {"id": "q2", "image_id": "i2"}
SUBJECT = SimpleNamespace(of=lambda kind: {"instance": {"i1"}, "patient": {"p1"}}[kind])


def test_answers_of_all_models_about_the_patient_are_removed(tmp_path):
    folder = tmp_path / "evaluate" / "earlier"
    files = [folder / name for name in ("truth.jsonl", "predictions.jsonl", "others/Seer 1.predictions.jsonl")]
    (folder / "others").mkdir(parents=True)
    for path in files:
        write_objects(path, [GONE, LEFT])
    write_sealed(folder / "metrics.json", {"mean_iou": 0.5}, files)
    assert evaluations_with(tmp_path, SUBJECT) == [folder]
    thin_evaluation(folder, SUBJECT)
    for path in files:
        assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [LEFT]
    assert changed_files(folder / "metrics.json") == [] and evaluations_with(tmp_path, SUBJECT) == []
