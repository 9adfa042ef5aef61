"""Stage report: pages of counts, galleries and scores that need no network."""

import json
import re
from itertools import pairwise

import nibabel as nib
import numpy as np
import pytest
from tests.browser import browsing
from tests.factories import fingerprint

from refrad.reporting.gallery import mark_spans
from refrad.reporting.wording import STAGES as WORDS
from refrad.stages import report
from refrad.workflow.fingerprint import Fingerprint

RESULT = {
    **{
        "mean_iou": 0.61,
        "mean_iou_interval": [0.5, 0.7],
        "class_recall": 0.9,
        "iou50": 0.7,
        "images": 6,
        "patients": 2,
        "asked": 12,
        "marks": "boxes",
    },
    **{"by_class": {"liver": 0.6}, "free": {"g_iou": 0.2, "class_recall": 0.3, "visible": 0.5}, "vqa": {}},
    **{"baselines": {name: {"mean_iou": 0.1} for name in ("untrained", "mean_box")}, "blanked": {"mean_iou": 0.2}},
    "same_items": {"mean_iou": 0.5, "images": 2, "asked": 4},
    **{
        "similarity": "equal classes",
        "judge": None,
        "compared": [],
        "paper": [],
        "metrics": {"iou": "what it means"},
        "confusions": [],
    },
    **{"sides": {"asked": 0}, "histogram": [{"overlap": "none", "count": 2}]},
    "scores": [
        {"dataset": "internal", "task": "locate", "metric": "iou", "by": by, "value": value, "mean": 0.6}
        | {"low": low, "high": high, "items": 12, "groups": 2, "failed": 0}
        for by, value, low, high in ((None, None, 0.5, 0.7), ("class", "liver", 0.4, 0.8), ("size", "5 %", None, None))
    ],
    "examples": {
        "worst": [],
        "best": [
            {"id": "q", "image_id": "i0028", "iou": 0.5, "true": [{"key": 5, "region": [0.1, 0.1, 0.4, 0.3]}]},
        ],
    },
    **{"definitions": {"mean_iou": "what it means"}, "fingerprint": Fingerprint("evaluate", 1, {}, {}).text},
}
PRECOMPUTED = {"segmenter": "precomputed", "weights": None}


def metrics_of(stage, taken):
    flow = {"taken": taken, "used": taken - 1, "aside": {"no_mention": 1}}
    return {
        "stage": stage,
        "fingerprint": fingerprint(stage, **(PRECOMPUTED if stage == "masks" else {})).text,
        "unit": "things",
        "flow": flow,
        "made": {"rows": 3},
        "tables": {"split": {"train": 3}},
        "seconds": {"total": 1.5},
    }


@pytest.fixture
def pages(report_of):
    return report_of()


@pytest.fixture
def report_of(study, images, root, tmp_path):
    """A function that writes the pages with some options."""
    metrics = []
    for stage in report.COUNTED:
        for shard in ("a/0", "a/1"):
            path = tmp_path / "results" / stage / shard / "metrics.json"
            if stage == "train":
                path = tmp_path / "results" / "train" / f"{shard[2]}.metrics.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(metrics_of(stage, 10)))
            metrics.append(path)
    point = {"step": 1, "seconds": 1.0, "loss": 2.0, "validation_loss": 2.5, "learning_rate": 1e-3}
    (tmp_path / "training.json").write_text(json.dumps({"curve": [point, point | {"seconds": 2.0, "loss": 1.0}]}))
    (tmp_path / "evaluation.json").write_text(json.dumps(RESULT))
    row = {"id": "q", "task": "locate", "entities": [{"class_id": 5, "box": [0.1, 0.1, 0.4, 0.4]}]}
    (tmp_path / "predictions.jsonl").write_text(json.dumps(row) + "\n")
    study.structures()
    empty = {
        "caption": "c",
        "instance": "i5",
        "series_number": None,
        "image_first": None,
        "image_last": None,
        "plane": None,
    }
    study.grounded([study.caption("c", "Liver", tie="explicit")], study.mention("c", "Liver", "Liver", 5), [empty])
    files = report.ReportFiles(
        metrics=metrics,
        images=[images],
        volumes=[study.path("volumes")],
        masks=[study.path("masks")],
        triplets=[study.path("triplets")],
        captions=[study.path("captions")],
        mentions=[study.path("mentions")],
        training=tmp_path / "training.json",
        evaluation=tmp_path / "evaluation.json",
        predictions=tmp_path / "predictions.jsonl",
        schema=root / "workflow" / "anatomy" / "classes.yaml",
        volume_store=study.volume_store,
        mask_store=study.mask_store,
    )

    def write(**options):
        report.run(files=files, pages=tmp_path / "report", fingerprint=fingerprint("report", gallery=8, **options))
        return tmp_path / "report"

    return write


def test_stages_have_a_page_each_and_working_links(pages):
    for stage in WORDS:
        text = (pages / "stages" / f"{stage}.html").read_text()
        assert WORDS[stage].split(":")[0] in text
    for page in pages.rglob("*.html"):
        for link in re.findall(r'href="([^"#]+\.html)"', page.read_text()):
            assert (page.parent / link).exists(), (page.name, link)


def test_pages_need_no_other_file(pages):
    for page in pages.rglob("*.html"):
        sources = re.findall(r'(?:src|href)="([^"]+)"', page.read_text())
        assert not [
            one
            for one in sources
            if not one.startswith(("data:image/png;base64,", "data:image/jpeg;base64,", "#p"))
            and not one.endswith(".html")
        ]
        assert "<script" not in page.read_text()


def test_shard_counts_are_added_and_reasons_explained(pages):
    text = (pages / "stages" / "mentions.html").read_text()
    assert "<b>20</b>" in text and "The caption names no anatomy of the schema." in text


def test_gallery_draws_each_mention_with_its_box(pages):
    text = (pages / "gallery.html").read_text()
    kept = text.split("<article")[1:9]
    assert all(one.count('<rect class="box ') == 2 and one.count("<mark") == 2 for one in kept)


def test_gallery_has_dropped_pairs_with_reason_without_box(pages):
    (*_, last) = (pages / "gallery.html").read_text().split("<article")
    assert "not grounded: no common class" in last and "<rect" not in last and "not in the image" in last


def test_gallery_filters_hide_cards_of_other_values_only(pages):
    text = (pages / "gallery.html").read_text()
    rules = re.findall(r"#f-(\w+) option:nth-child\((\d+)\):checked\) \.card:not\(\.([\w-]+)\)", text)
    choices = {
        name: re.findall("<option>(.*?)</option>", options)[1:]
        for name, options in re.findall(r'<select id="f-(\w+)">(.*?)</select>', text)
        if name != "window"
    }
    assert choices["verdict"] == ["kept", "not grounded: no common class"] and {"tie", "class"} <= choices.keys()
    assert [(name, int(place) - 2) for name, place, _ in rules] == [
        (n, k) for n, c in choices.items() for k in range(len(c))
    ]
    cards = re.findall(r'<article class="card([^"]*)"', text)
    shown = {name: sum(name in one.split() for one in cards) for _, _, name in rules}
    assert (shown["verdict-1"], shown["verdict-2"]) == (len(cards) - 1, 1)
    assert sum(shown[f"tie-{k + 1}"] for k in range(len(choices["tie"]))) == len(cards)


def test_phrase_of_two_classes_has_both_colours():
    made = mark_spans("Both kidneys", [{"start": 5, "end": 12, "class_id": 2}, {"start": 5, "end": 12, "class_id": 3}])
    assert made.count("<mark") == 1 and 'class="c2 c3"' in made and made.count("rgb(") == 4


def test_model_answers_are_dashed_next_to_the_truth(pages):
    text = (pages / "stages" / "evaluate.html").read_text()
    assert text.count(' given" stroke') == 1 and text.count('<rect class="box') == 2
    assert "0.610" in text and "IoU 0.50" in text


def test_scores_have_intervals_and_separate_tables(pages):
    text = (pages / "stages" / "evaluate.html").read_text()
    assert "(0.500 to 0.700)" in text and "(0.400 to 0.800)" in text
    assert "IoU by class" in text and "By size of the structure" in text and "By language" not in text
    assert re.findall('scope="rowgroup">(.*?)<', text) == ["internal: structures that the prompt names"]


def test_strict_and_lenient_accuracy_stand_side_by_side(report_of, tmp_path):
    path = tmp_path / "evaluation.json"
    vqa = {"questions": 4, "accuracy": 0.25, "accuracy_lenient": 0.75, "by_kind": {}}
    images = {"locate": 2, "detect": 2, "caption": 6, "vqa": 6}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vqa": vqa, "images_of_task": images}))
    text = (report_of() / "stages" / "evaluate.html").read_text()
    assert "<b>0.250</b><span>strict accuracy" in text and "<b>0.750</b><span>lenient accuracy" in text
    assert "structures that the prompt names 2; " in text and "captions 6; " in text


def test_report_text_cannot_become_html():
    text = "a <b>liver</b> & more"
    made = mark_spans(text, [{"start": 5, "end": 10, "class_id": 5}])
    assert "<b>" not in made and "&lt;b&gt;" in made and "&amp;" in made


def test_overlay_is_a_picture(pages):
    from PIL import Image

    picture = np.asarray(Image.open(pages / "overlay.png").convert("RGB"))
    assert picture.shape[1] >= 1000 and picture.std() > 10


def test_volumes_are_shown_with_and_without_their_classes(pages, study):
    assert nib.load(study.mask_store / "v.nii.gz").shape == (32, 24, 6)
    for stage, pictures in {"volumes": 4, "masks": 3}.items():  # three views; volumes have a middle slice too
        text = (pages / "stages" / f"{stage}.html").read_text()
        assert text.count('<svg class="tile"') == pictures
        assert text.count("edges: left R, right L, top A, bottom P") == pictures - 2
        assert ('<span class="chip c5"' in text) is (stage == "masks")  # the legend of the colours


def test_each_card_has_pseudonyms_questions_and_sides_or_the_reason(pages):
    *kept, dropped = (pages / "gallery.html").read_text().split("<article")[1:]
    for card in kept:
        for name in ("image", "volume", "patient", "caption"):
            assert re.search(rf"{name} <code>[\w ]+</code>", card)
        assert "<dt>Which imaging modality is this?</dt><dd>CT</dd>" in card
        assert "px: the volume in the store is not that of the dataset" in card
        assert ">R</text>" in card and ">P</text>" in card
    assert "image <code>i5</code>" in dropped and "caption <code>c</code>" in dropped
    assert ">R</text>" in dropped and ">L</text>" in dropped and ">A</text>" in dropped and ">P</text>" in dropped


@pytest.mark.parametrize("sentences", [0, 5])
def test_samples_are_on_stage_pages_on_request_only(report_of, sentences):
    pages = report_of(sentences=sentences)
    shown = {"captions": "Liver", "mentions": '<mark class="c5"', "vqa": "Which imaging modality is this?"}
    for stage, words in shown.items():
        text = (pages / "stages" / f"{stage}.html").read_text()
        assert (words in text) is bool(sentences), stage
        assert ("report.sentences is 0" in text) is not bool(sentences)


def test_pages_fit_a_phone(pages, tmp_path):
    """Nothing but a table that scrolls inside of its frame reaches beyond the right edge."""
    with browsing(tmp_path / "profile") as browser:
        browser.call("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=False)
        for page in sorted(pages.rglob("*.html")):
            browser.open(page)
            beyond = browser.run(
                "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 391"
                " && !e.closest('.wide') && !e.closest('svg')).map(e => e.outerHTML.slice(0, 80))"
            )
            assert not beyond, (page.name, beyond)
            assert browser.run("document.documentElement.scrollWidth") <= 390, page.name


def test_gallery_shows_the_window_that_is_chosen(pages, tmp_path):
    """By organ first, then the channel of the choice, and all three as colours without a filter."""
    with browsing(tmp_path / "profile") as browser:
        browser.open(pages / "gallery.html")
        filters = []
        for choice in range(5):
            browser.run(f"document.querySelector('#f-window').selectedIndex = {choice}")
            filters.append(browser.run("getComputedStyle(document.querySelector('.slice')).filter"))
    assert filters == ['url("#window-1")', 'url("#window-0")', 'url("#window-1")', 'url("#window-2")', "none"]


def test_unfinished_run_has_pages_of_its_finished_stages(root, tmp_path):
    path = tmp_path / "results" / "index" / "a" / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(metrics_of("index", 10)))
    jobs = [
        {"job": f"volumes a {shard}", "stage": "volumes", "name": f"a/{shard}", "state": state}
        | {"words": "refrad volumes: no space left", "log": "logs/x.log", "result": "results/volumes/a/0/metrics.json"}
        for shard, state in enumerate(["failed", "waiting", "waiting"])
    ]
    (tmp_path / "state.json").write_text(json.dumps(jobs))
    files = report.ReportFiles(
        metrics=[path],
        images=[],
        volumes=[],
        masks=[],
        schema=root / "workflow" / "anatomy" / "classes.yaml",
        volume_store=tmp_path,
        mask_store=tmp_path,
        state=tmp_path / "state.json",
    )
    report.run(files=files, pages=tmp_path / "status", fingerprint=fingerprint("report", gallery=8))
    assert [page.stem for page in (tmp_path / "status" / "stages").iterdir()] == ["index"]
    text = (tmp_path / "status" / "index.html").read_text()
    assert "no space left" in text and "logs/x.log" in text and "stages/volumes.html" not in text
    assert "results/volumes/a/0/metrics.json" in text and 'title="a/1 to 2: waiting"' in text


def test_index_page_has_the_yield_of_each_step(pages):
    text = (pages / "index.html").read_text()
    assert text.index("files of the deliveries") < text.index("slices of volumes") < text.index("images with a caption")
    assert "captions that name anatomy" in text
    assert [text.index(f"<h3>{title}") for title in ("Files", "Images", "Sentences", "Captions", "Pairs")]


def test_volumes_page_has_a_contact_sheet(pages):
    text = (pages / "stages" / "volumes.html").read_text()
    assert "Middle slices" in text and "1 of 1 volumes" in text
    assert "From files to volumes" in text


def test_pages_are_accessible_and_need_no_network(pages):
    for page in pages.rglob("*.html"):
        text = page.read_text()
        assert '<html lang="en">' in text and "<main>" in text, page.name
        levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
        assert levels[0] == 1 and levels.count(1) == 1, page.name
        assert all(after - before <= 1 for before, after in pairwise(levels)), page.name
        assert not re.findall(r'<img(?![^>]*alt="[^"]+")|role="img"(?! aria-label="[^"]+")', text), page.name
        assert not re.findall(r'(?:src|href)="(?:https?:)?//|<script|<link|@import', text), page.name


def test_other_models_stand_in_one_table_with_their_differences(report_of, tmp_path):
    seer = {
        "dataset": "internal",
        "task": "locate",
        "metric": "iou",
        "by": None,
        "value": None,
        "mean": 0.25,
        "items": 12,
    }
    pair = {
        "dataset": "internal",
        "task": "locate",
        "metric": "iou",
        "difference": 0.35,
        "low": 0.3,
        "high": 0.4,
        "p": 0.01,
    }
    others = [
        {
            **{"name": "Seer", "model": "seer-4b", "window": 1, "failure": None, "counts": {"asked": 14, "failed": 2}},
            "scores": [seer | {"low": 0.2, "high": 0.3, "groups": 2, "failed": 0}],
            "compared": [pair | {"ours": 0.6, "theirs": 0.25, "items": 12, "groups": 2}],
        },
        {
            **{"name": "Gone", "model": "gone", "window": 1, "failure": "gone: no answer for 600 s", "counts": {}},
            **{"scores": [], "compared": []},
        },
    ]
    (tmp_path / "evaluation.json").write_text(json.dumps(RESULT | {"others": others}))
    text = (report_of() / "stages" / "evaluate.html").read_text()
    section = text.split("Other vision-language models")[1].split("<h2>")[0]
    table, models = section.split("</table>")[:2]
    assert "0.250" in table and "0.600" in table
    assert "+0.350 (+0.300 to +0.400), p 0.01, 12 items" in table and "Gone" not in table
    assert "gone: no answer for 600 s" in models and "seer-4b" in models
