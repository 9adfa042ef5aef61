"""The message at the end of a run, on made-up counts."""

import copy

import pytest

from refrad.reporting.run_end import RED, end_of_run, explain_empty_dataset

UNITS = {
    "index": "files",
    "volumes": "volumes",
    "masks": "volumes",
    "structures": "slices",
    "captions": "sentences",
    "mentions": "captions",
    "copies": "volumes",
    "grounded": "captions",
    "shards": "images",
}
FILES = [("results/report/index.html", "the run on one page")]
SHARDS = 2


def metrics(stage, used, made=None, tables=None, **aside):
    return {
        "stage": stage,
        "fingerprint": "",
        "unit": UNITS[stage],
        "flow": {"taken": used + sum(aside.values()), "used": used, "aside": aside},
        "made": made or {},
        "tables": tables or {},
        "seconds": {"total": 1.0},
    }


@pytest.fixture
def fine():
    """Counts of a run in which all went well; two shards of one delivery."""
    rows = {"rows": 600, "captions": 700, "entities": 800, "questions": 1}
    return {
        "index": [("ct", metrics("index", 3000, localizer=40, not_dicom=2, duplicate=1, colour=1))],
        "volumes": [(f"ct {n}", metrics("volumes", 20, slice_missing=1)) for n in range(SHARDS)],
        "masks": [(f"ct {n}", metrics("masks", 20)) for n in range(SHARDS)],
        "captions": [(f"ct {n}", metrics("captions", 90, tables={"reports": {"used": 9}})) for n in range(SHARDS)],
        "grounded": [(f"ct {n}", metrics("grounded", 80, no_mention=10)) for n in range(SHARDS)],
        "shards": [(f"ct {n}", metrics("shards", 600, rows)) for n in range(SHARDS)],
    }


def expected_of(counted):
    return {stage: len(parts) for stage, parts in counted.items()}


def told(counted, expected=None, files=FILES, coloured=False):
    return end_of_run(counted, expected or expected_of(counted), files, "results/report", coloured)


def emptied(fine, **stages):
    """The counts with other stages, and no row in the dataset."""
    return fine | stages | {"shards": [(f"ct {n}", metrics("shards", 0)) for n in range(SHARDS)]}


def test_run_without_trouble_is_counted_from_delivery_to_pairs(fine):
    lines = [" ".join(line.split()) for line in told(fine, coloured=True).splitlines()]
    assert lines == [
        "",
        "dataset: 1,200 images with 1,400 captions, 1,600 grounded mentions and 2 questions",
        "delivered used quarantined",
        "files 3,044 3,000 44 40 localizer, 2 not DICOM, 1 duplicate, 1 for other reasons",
        "volumes 42 40 2 2 slice missing",
        "sentences 180 180 0",
        "captions to pair 180 160 20 20 no mention",
        "worth opening:",
        "results/report/index.html the run on one page",
    ]


def test_quarantined_labels_have_a_row(fine):
    fine["masks"][0] = ("ct 0", metrics("masks", 19, mask_missing=1))
    assert "volumes to label          40          39           1  1 mask missing" in told(fine)


def test_run_without_results_says_nothing():
    assert told({}, {"index": 1}, files=[]) == ""


def test_only_the_given_files_are_worth_opening(fine):
    assert "worth opening" not in told(fine, files=[])


def test_files_of_deliveries_that_left_are_named(fine):
    fine["card"] = [
        ("dataset", metrics("shards", 1, tables={"files of former deliveries and shards": {"b": 4, "a": 1}}))
    ]
    assert "no longer in the dataset: 1 file of a, 4 files of b, now in results/former" in told(fine).splitlines()


def test_run_that_stops_without_a_usable_file_has_the_reason(fine):
    counts = {"index": [("ct", metrics("index", 0, not_dicom=3))]}
    lines = explain_empty_dataset(counts, {"index": 1, "shards": 2}, "status", False)
    assert lines[0].startswith("No image is grounded") and lines[1] == "  3 of 3 files: The file is not DICOM."
    assert not explain_empty_dataset(counts, {"index": 2}, "status", False), "the other delivery may have some"
    assert not explain_empty_dataset({"index": fine["index"]}, {"index": 1, "shards": 2}, "status", False)


@pytest.mark.parametrize(("without", "used", "is_red"), [(2, 0, True), (1, 3, False)])
def test_reports_without_a_study_are_counted(fine, without, used, is_red):
    fine["captions"] = [("ct 0", metrics("captions", 5, tables={"reports": {"used": used, "no_study": without}}))]
    line = next(line for line in told(fine, coloured=True).splitlines() if "fit no study" in line)
    assert f"{without} of {without + used} reports fit no study" in line and line.startswith(RED) == is_red
    assert RED not in told(fine)


def test_empty_dataset_has_its_three_largest_reasons_in_red(fine):
    counts = emptied(
        fine,
        captions=[("ct 0", metrics("captions", 6, context=1, not_read=3))],
        structures=[("ct 0", metrics("structures", 99, no_structure=1))],
        mentions=[("ct 0", metrics("mentions", 5, no_mention=1))],
        grounded=[("ct 0", metrics("grounded", 0, no_mention=1, no_common_class=5))],
    )
    lines = told(counts, coloured=True).splitlines()
    red = [line.removeprefix(RED).removesuffix("\x1b[0m") for line in lines if line.startswith(RED)]
    assert red == [
        "No image is grounded: the dataset is empty. The largest reasons:",
        "  5 of 6 captions: No class that the caption mentions is in the images it may belong to.",
        "  3 of 10 sentences: The sentence is in a part of the report that is not used: letterhead, technique, comparison, closing,"
        " a table.",
        "  1 of 6 captions: The caption names no anatomy of the schema.",
        "  look first at results/report/stages/grounded.html",
    ]
    assert "worth opening" not in "".join(lines) and len(lines) <= 13


@pytest.mark.parametrize(
    ("stage", "counts", "words"),
    [
        ("index", metrics("index", 0), "The folders of the deliveries hold no file."),
        ("index", metrics("index", 0, localizer=3), "3 of 3 files: A localizer"),
        ("captions", metrics("captions", 0), "No sentence was read from the reports."),
        ("captions", metrics("captions", 0, no_study=8), "8 of 8 sentences: The report fits no study of the delivery."),
        ("masks", metrics("masks", 0, no_precomputed_mask=2), "2 of 2 volumes: The table of the site's masks"),
        ("copies", metrics("copies", 0, duplicate=2), "2 of 2 volumes: Another image"),
        ("shards", metrics("shards", 0, rejected=9), "9 of 9 images: Reviewers rejected"),
        ("volumes", metrics("volumes", 0, invented_reason=2), "2 of 2 volumes: invented reason"),
    ],
)
def test_first_reason_of_an_empty_dataset_names_its_page(fine, stage, counts, words):
    whole = emptied(fine)
    parts = [
        (name, counts if n == 0 else metrics(stage, 0)) for n, (name, _) in enumerate(whole.get(stage, [("ct", 0)]))
    ]
    lines = explain_empty_dataset(whole | {stage: parts}, expected_of(whole), "pages", False)
    assert lines[1].strip().startswith(words) and lines[-1] == f"  look first at pages/stages/{stage}.html"


def test_dataset_emptied_without_a_reason_leads_to_the_index():
    counts = {"shards": [("ct 0", metrics("shards", 0))]}
    lines = explain_empty_dataset(counts, {"shards": 1}, "pages", False)
    assert lines == ["No image is grounded: the dataset is empty.", "  look first at pages/index.html"]


@pytest.mark.parametrize(
    "parts", [[], [("ct 0", metrics("shards", 0))], [("ct 0", metrics("shards", 0)), ("ct 1", None)]]
)
def test_dataset_of_some_shards_is_not_called_empty(fine, parts):
    assert not explain_empty_dataset(fine | {"shards": parts}, expected_of(fine), "pages", True)


HALVES = [None, {}, [], "text", {"stage": "volumes"}, metrics("volumes", 1) | {"flow": {"taken": 1}}]


@pytest.mark.parametrize("half", HALVES)
def test_half_a_metrics_file_is_not_counted_and_said(fine, half):
    fine["volumes"][1] = ("ct 1", copy.deepcopy(half))
    text = told(fine)
    assert "jobs that are not counted: 1 of 2 of volumes" in text
    assert "volumes                   21          20           1" in text


def test_entries_of_the_lists_that_match_nothing_are_counted(fine):
    table = {"match images": 1, "match none in this delivery": 3}
    tables = {"entries of index.exclude": table, "entries of index.include": {"match none in this delivery": 0}}
    fine["index"] = [(name, metrics("index", 3, tables=tables)) for name in ("ct", "mr", "xr", "us")]
    (line,) = [line for line in told(fine).splitlines() if line.startswith("entries")]
    assert line == "entries of index.exclude that match no image: 3 in ct, 3 in mr, 3 in xr, more in other deliveries"
