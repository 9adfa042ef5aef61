"""Which stages run again after a change: all that the change concerns, and none beside. docs/reruns.md says so to people."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from projects import Project
from refrad.anatomy.schema import load_schema
from refrad.commands.explain import stage_of
from refrad.core.contracts import InstanceTable
from refrad.core.tables import read_table
from refrad.workflow.stages import STAGES

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reruns.md"


def replaced(name, old, new):
    """A change of a file: the words `old`, which must be there, become `new`."""

    def change(edit):
        edit(name, lambda text: text.replace(old, new, 1))

    return change


def configured(**sections):
    """A change of own.yaml, the config that lies over config.yaml."""

    def change(edit):
        edit("own.yaml", lambda text: yaml.safe_dump(_over(yaml.safe_load(text), sections)))

    return change


def _over(below, above):
    return below | {
        key: _over(below[key], value) if isinstance(below.get(key), dict) and isinstance(value, dict) else value
        for key, value in above.items()
    }


def merged(edit):
    """The trachea becomes part of the esophagus, as the head of classes.yaml says."""

    def merge(text):
        schema = yaml.safe_load(text)
        by_name = {one["name"]: one for one in schema["classes"]}
        for task, values in by_name["trachea"]["native"].items():
            by_name["esophagus"]["native"].setdefault(task, []).extend(values)
        schema["classes"].remove(by_name["trachea"])
        return yaml.safe_dump(schema, allow_unicode=True)

    load_schema(edit("workflow/anatomy/classes.yaml", merge))


def added(edit):
    """A class that no task knows yet."""
    words = "name: implant, english: implant, german: Implantat, region: limb, native: {}"
    load_schema(edit("workflow/anatomy/classes.yaml", lambda text: text.rstrip() + f"\n  - {{id: 122, {words}}}\n"))


def delivered(edit):
    deliveries = yaml.safe_load((PAGE.parents[1] / "config.yaml").read_text(encoding="utf-8"))["deliveries"]
    second = deliveries[0] | {"name": "second", "shards": 1}
    for key in ("dicom", "reports", "references"):
        second[key] = second[key].replace("demo/demo", "demo/second")
    configured(deliveries=[*deliveries, second])(edit)


def touched(*names):
    """Files get a new modification time; their content stays."""

    def change(edit):
        for name in names:
            path = edit(name, lambda text: text + " ")
            path.write_text(path.read_text(encoding="utf-8")[:-1], encoding="utf-8")
            os.utime(path)

    return change


def new_version(stage):
    def raised(text):
        return re.sub(r"^VERSION = (\d+)", lambda found: f"VERSION = {int(found[1]) + 1}", text, flags=re.MULTILINE)

    return lambda edit: edit(f"src/refrad/stages/{stage}.py", raised)


def report_text(edit):
    edit("demo/demo/reports.csv", lambda text: text.replace("Leber", "Leber ", 1))


def patient_excluded(edit):
    """A list that names somebody, in the private folder."""
    edit("private/exclude.csv", lambda _: "kind,value\npatient,nobody\n", new=True)
    configured(index={"exclude": "private/exclude.csv"})(edit)


# Each change of the table in docs/reruns.md. The later ones need a run that asked language models: see `with_models`.
CHANGES = {
    "nothing": lambda _: None,
    "a file touched, copied back or checked out again: other time, same content": touched(
        "demo/demo/reports.csv", "workflow/anatomy/classes.yaml", "workflow/anatomy/lexicon.yaml"
    ),
    "a comment in the schema or the lexicon": replaced(
        "workflow/anatomy/classes.yaml", "classes:", "# a thought\nclasses:"
    ),
    "two classes of the schema merged": merged,
    "a class added to the schema": added,
    "a norm of plausibility (`plausibility.yaml`)": replaced(
        "workflow/anatomy/plausibility.yaml", "piece: 0.8", "piece: 0.7"
    ),
    "a term of the lexicon": replaced("workflow/anatomy/lexicon.yaml", "endings:", "new_words: [Leberchen]\nendings:"),
    "the rule of boxes (`structures.minimum_share`)": configured(structures={"minimum_share": 0.3}),
    "a window (`shards.windows`)": configured(shards={"windows": [[2250, -100], [350, 40], [90, 40]]}),
    "pairs without boxes (`shards.pairs`)": configured(shards={"pairs": "grounded"}),
    "images per caption (`grounded.images_per_caption`)": configured(grounded={"images_per_caption": 3}),
    "the split (`index.test`)": configured(index={"test": 0.31}),
    "a patient in the list of `index.exclude`": patient_excluded,
    "the learning rate (`train.learning_rate`)": configured(train={"learning_rate": 1e-3}),
    "how many samples are evaluated (`evaluate.samples`)": configured(evaluate={"samples": 7}),
    "VERSION of the code of vqa": new_version("vqa"),
    "VERSION of the code of masks": new_version("masks"),
    "another variant of the segmenter (`masks.variant`)": configured(masks={"variant": "fast"}),
    "the text of a report": report_text,
    "a new delivery: for it all, and for the old ones": delivered,
}
MODELS_CHANGES = {
    "a word of a prompt (`rewrite.de.md`)": replaced("workflow/prompts/rewrite.de.md", " ", "  "),
    "another language model (`llm.rewrite.model`)": configured(llm={"rewrite": {"model": "another"}}),
    "another endpoint or more requests at once": configured(
        llm={"rewrite": {"endpoint": "http://gpu08/v1", "concurrency": 8}}
    ),
}
ORDER = ["demo", *STAGES]


def in_table():
    rows = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return {row[1].strip(): row[2].strip() for row in rows[1:]}


def as_row(planned):
    """The stages of rules, of the old delivery, in their order, as the table has them."""
    stages = {stage_of(rule) for rule in planned}
    return ", ".join(sorted(stages, key=ORDER.index)) or "none"


def planned_of_demo(project):
    """Rules that would run for the delivery of old and for all of them together."""
    lines = project.snakemake("all", "--dry-run").stdout.splitlines()
    return {line.split()[0] for line in lines if " second" not in line} - {"nothing"}


@pytest.fixture
def edit(finished):
    yield from edits(finished)


@pytest.fixture(scope="module")
def with_models(finished, tmp_path_factory):
    """A finished run whose captions were rewritten by a language model: marked so, since no model answers here."""
    folder = tmp_path_factory.mktemp("models") / "copy"
    shutil.copytree(finished.folder, folder, symlinks=True)
    project = Project(folder)
    configured(captions={"rewrite": "llm"}, llm={"rewrite": {"endpoint": "http://gpu07/v1", "model": "some"}})(
        lambda name, text: (folder / name).write_text(text((folder / name).read_text()))
    )
    project.snakemake("all", "--touch")
    return project


def edits(project):
    """A function that edits a file of the project, or makes one; the former state is back after the test, time included."""
    kept = {}

    def change(name, edited, new=False):
        path = project.folder / name
        kept.setdefault(path, (b"", None) if new else (path.read_bytes(), path.stat()))
        text = edited("" if new else path.read_text(encoding="utf-8"))
        assert text.encode() != kept[path][0], "the edit changed nothing"
        path.write_text(text, encoding="utf-8")
        return path

    yield change
    for path, (content, status) in kept.items():
        if status is None:
            path.unlink()
            continue
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_table_of_changes_is_complete():
    assert list(in_table()) == [*CHANGES, *MODELS_CHANGES]


@pytest.mark.parametrize("change", CHANGES)
def test_change_reruns_the_stages_of_its_row(finished, edit, change):
    CHANGES[change](edit)
    row = as_row(planned_of_demo(finished))
    assert row == in_table().get(change), f"docs/reruns.md should say:\n| {change} | {row} |"


@pytest.mark.parametrize("change", MODELS_CHANGES)
def test_language_model_change_reruns_the_stages_of_its_row(with_models, change):
    put_back = edits(with_models)
    MODELS_CHANGES[change](next(put_back))
    row = as_row(planned_of_demo(with_models))
    next(put_back, None)
    assert row == in_table().get(change), f"docs/reruns.md should say:\n| {change} | {row} |"


def test_edit_with_an_old_modification_time_reruns(finished, edit):
    path = edit("workflow/anatomy/classes.yaml", lambda text: text.replace("english: spleen", "english: lien", 1))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert "structures_shard" in finished.planned("all")


def test_explain_has_the_reason_in_words(finished, edit):
    edit("own.yaml", lambda text: text + "grounded: {images_per_caption: 3}\n")
    command = [sys.executable, "-m", "refrad", "explain", "--config", "config.yaml", "own.yaml"]
    environment = os.environ | {"PYTHONPATH": str(finished.folder / "src")}
    said = subprocess.run(command, cwd=finished.folder, env=environment, capture_output=True, text=True, check=True)
    lines = said.stdout.splitlines()
    assert lines[:2] == [
        "grounded    runs (2 of 2): grounded.images_per_caption: 4 -> 3",
        "vqa         runs (2 of 2): follows from grounded",
    ]
    assert lines[-1].startswith("stay        index, volumes, masks, structures, captions, mentions")


def test_new_delivery_leaves_splits_and_old_shards_unchanged(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    delivered(lambda name, text: (project.folder / name).write_text(text((project.folder / name).read_text())))
    old = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in _tables(project, "demo")}
    project.snakemake("shards")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in old} == old
    assert len(_tables(project, "second")) > 10
    splits = [
        _splits(project, delivery) for delivery in ("demo", "second")
    ]  # the demo's deliveries have the same patients
    assert splits[0] == splits[1]
    assert set(splits[0].values()) == {"train", "validation", "test"}
    (metrics,) = (project.folder / "results/masks/second").rglob("metrics.json")
    assert json.loads(metrics.read_text())["made"].get("labels made", 0) == 0, "the store held them all"


def _tables(project, delivery):
    return sorted((project.folder / "results").glob(f"**/{delivery}/**/*.parquet"))


def _splits(project, delivery):
    table = read_table(project.folder / "results/index" / delivery / "instances.parquet", InstanceTable)
    return dict(table.select("patient", "split").drop_nulls().unique().iter_rows())
