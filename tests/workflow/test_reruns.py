"""Which stages run again after a change: all that the change concerns, and none beside."""

import os

import pytest
import yaml

from refrad.anatomy.schema import load_schema

pytestmark = pytest.mark.slow

AFTER = {
    "vqa": {"vqa_shard", "shards_shard", "card", "train", "evaluate", "report"},
    "grounded": {"grounded_shard", "vqa_shard", "shards_shard", "card", "train", "evaluate", "report"},
}
AFTER["mentions"] = AFTER["grounded"] | {"mentions_shard"}


@pytest.fixture
def edit(finished):
    """Edit a file of the finished project and put it back after the test, modification time included."""
    kept = {}

    def change(name, edited):
        path = finished.folder / name
        kept.setdefault(path, (path.read_bytes(), path.stat()))
        text = edited(path.read_text(encoding="utf-8"))
        assert text.encode() != kept[path][0], "the edit changed nothing"
        path.write_text(text, encoding="utf-8")
        return path

    yield change
    for path, (content, status) in kept.items():
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_finished_run_has_nothing_left_to_do(finished):
    assert finished.planned("all") == set()


def test_the_class_schema_reruns_structures_and_what_follows_but_never_masks(finished, edit):
    def rename(text):
        schema = text.replace("english: left kidney", "english: kidney on the left", 1)
        assert schema != text
        return schema

    edit("workflow/anatomy/classes.yaml", rename)
    assert finished.planned("all") == AFTER["mentions"] | {"structures_shard"}


def test_two_merged_classes_and_a_new_one_rerun_structures_and_what_follows_but_never_masks(finished, edit):
    def merge_and_add(text):
        schema = yaml.safe_load(text)
        classes = {one["name"]: one for one in schema["classes"]}
        right, left = classes["gluteus_medius_right"], classes.pop("gluteus_minimus_right")
        for task, values in left["native"].items():
            right["native"][task] = [*right["native"][task], *values]
        new = {
            "id": 122,
            "name": "implant",
            "english": "implant",
            "german": "Implantat",
            "region": "limb",
            "native": {},
        }
        return yaml.safe_dump({"classes": [*classes.values(), new]}, allow_unicode=True)

    load_schema(edit("workflow/anatomy/classes.yaml", merge_and_add))
    assert finished.planned("all") == AFTER["mentions"] | {"structures_shard"}


def test_the_norms_of_plausibility_rerun_structures_and_what_follows_but_never_masks(finished, edit):
    edit("workflow/anatomy/plausibility.yaml", lambda text: text.replace("piece: 0.8", "piece: 0.7"))
    assert finished.planned("all") == AFTER["grounded"] | {"structures_shard"}


def test_a_comment_in_the_class_schema_reruns_nothing(finished, edit):
    edit("workflow/anatomy/classes.yaml", lambda text: text + "# a thought\n")
    assert finished.planned("all") == set()


def test_a_lexicon_term_reruns_captions_and_mentions(finished, edit):
    def add(text):
        lexicon = yaml.safe_load(text)
        lexicon["a new top-level key"] = []
        return yaml.safe_dump(lexicon)

    edit("workflow/anatomy/lexicon.yaml", add)
    assert finished.planned("all") == AFTER["mentions"] | {"captions_shard"}


def test_the_options_of_one_stage_rerun_it_and_what_follows(finished, edit):
    edit("config.yaml", lambda text: text.replace("images_per_caption: 4", "images_per_caption: 3"))
    assert finished.planned("all") == AFTER["grounded"]


def test_an_old_modification_time_hides_no_edit(finished, edit):
    path = edit("workflow/anatomy/classes.yaml", lambda text: text.replace("english: spleen", "english: lien", 1))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert "structures_shard" in finished.planned("all")


def test_a_touched_schema_of_the_same_content_reruns_nothing(finished):
    (finished.folder / "workflow/anatomy/classes.yaml").touch()
    assert finished.planned("all") == set()


def test_a_new_version_of_a_stage_reruns_it_and_what_follows(finished, edit):
    edit("src/refrad/stages/vqa.py", lambda text: text.replace("VERSION = 1", "VERSION = 99"))
    assert finished.planned("all") == AFTER["vqa"]


def test_another_window_reruns_the_shards_alone(finished, edit):
    edit("config.yaml", lambda text: text.replace("[80, 40]", "[90, 40]"))
    assert finished.planned("all") == {"shards_shard", "card", "train", "evaluate", "report"}


def test_a_new_delivery_leaves_the_old_one_alone(finished, edit):
    deliveries = yaml.safe_load((finished.folder / "config.yaml").read_text())["deliveries"]
    second = deliveries[0] | {"name": "second", "shards": 1}
    for key in ("dicom", "reports", "references"):
        second[key] = second[key].replace("demo/demo", "demo/second")
    edit("own.yaml", lambda text: text + yaml.safe_dump({"deliveries": [*deliveries, second]}))
    plan = finished.snakemake("all", "--dry-run").stdout
    assert "volumes of second, shard 0" in plan
    assert "of demo, shard" not in plan
