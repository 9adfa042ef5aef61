"""Stage copies: which volumes are copies of others, in a delivery and across deliveries, and what stage grounded makes of them."""

import datetime
import json

import numpy as np
import pytest
from tests.factories.options import options

from refrad.core.contracts import CaptionTable, CopyTable, VolumeTable
from refrad.core.tables import frame_of, read_table, write_table
from refrad.dicom.volume_store import store_volume
from refrad.stages import copies
from refrad.workflow.fingerprint import Fingerprint

SHAPE = (40, 36, 12)
AFFINE = np.array([[-0.8, 0, 0, 100], [0, -0.8, 0, 90], [0, 0, 3.0, -700.5], [0, 0, 0, 1]])
X, Y, Z = np.indices(SHAPE)


def body(seed):
    """A smooth body with the noise of one acquisition, int16 HU."""
    smooth = 300 * np.sin(X / 9 + 1) * np.cos(Y / 7) + 8 * Z
    return (smooth + np.random.default_rng(seed).normal(0, 25, SHAPE)).round().astype(np.int16)


class Archive:
    """Deliveries as lists of shards, each a list of volumes; `find` runs the stage for the last delivery."""

    def __init__(self, folder):
        self.folder, self.store = folder, folder / "store"
        self.store.mkdir()
        self.deliveries = []

    def volume(self, voxels, affine=AFFINE, volume="v", series=None, study="s", patient="p", **columns):
        digest, file = store_volume(voxels, affine, self.store)
        row = {"volume": volume, "series": series or f"series of {volume}", "study": study, "patient": patient}
        row |= {"split": "train", "modality": "CT", "plane": "axial", "series_number": 3, "slices": voxels.shape[2]}
        return row | {"digest": digest, "file": file} | columns

    def deliver(self, *shards, reports=None):
        """Write the tables of a delivery; `reports`: the studies that have one, all if None."""
        number, tables = len(self.deliveries), []
        for shard, volumes in enumerate(shards):
            folder = self.folder / f"{number}-{shard}"
            folder.mkdir()
            studies = {row["study"] for row in volumes} if reports is None else reports
            captions = [caption(study) for study in sorted(studies)]
            for contract, name, rows in ((VolumeTable, "volumes", volumes), (CaptionTable, "captions", captions)):
                write_table(
                    folder / f"{name}.parquet", frame_of(rows, contract), contract, Fingerprint(name, 1, {}, {})
                )
            tables.append(folder)
        self.deliveries.append(tables)

    def find(self, deliveries=None, **changes):
        """Volume to (original, relation, reason) in the last of these deliveries; checks the counts of the metrics."""
        chosen = self.deliveries if deliveries is None else [self.deliveries[number] for number in deliveries]
        folders = [folder for tables in chosen for folder in tables]
        out = self.folder / "copies.parquet"
        copies.run(
            volumes=[folder / "volumes.parquet" for folder in folders],
            captions=[folder / "captions.parquet" for folder in folders],
            shards=len(chosen[-1]),
            volume_store=self.store,
            copies=out,
            metrics=self.folder / "metrics.json",
            fingerprint=Fingerprint("copies", 1, options("copies", **changes), {}),
        )
        self.metrics = json.loads((self.folder / "metrics.json").read_text())
        table = read_table(out, CopyTable)
        left_out = table["reason"].drop_nulls().value_counts().rows()
        assert self.metrics["flow"]["aside"] == dict(left_out)
        accepted = [read_table(folder / "volumes.parquet", VolumeTable)["reason"].null_count() for folder in chosen[-1]]
        assert self.metrics["flow"]["taken"] == sum(accepted)
        assert sum(self.metrics["tables"].get("copies", {}).values()) == len(table)
        return {row[0]: row[1:] for row in table.select("volume", "original", "relation", "reason").rows()}


def caption(study):
    row = {"caption": f"caption {study}", "sentence": "x", "report": "r", "study": study, "patient": "p"}
    row |= {"section": "findings", "position": 0, "language": "en", "text": "Normal.", "tie": "structure"}
    return row | {"rewriter": "rules", "translator": "source"}


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path)


def test_archive_without_copies_has_none(archive):
    archive.deliver([archive.volume(body(1), volume="a"), archive.volume(body(2), volume="b", study="t")])
    assert archive.find() == {} and archive.metrics["flow"]["used"] == 2


def test_same_voxels_are_used_once_wherever_they_are(archive):
    voxels = body(1)
    archive.deliver(
        [archive.volume(voxels, volume="a"), archive.volume(voxels, volume="b", body_part="CHEST")],
        [archive.volume(voxels, volume="c", study="t"), archive.volume(voxels, volume="d", patient="q", study="u")],
    )
    archive.deliver([archive.volume(voxels, volume="e", patient="a", study="a")])
    first = archive.find([0])
    assert first == {  # b has the more complete header
        "a": ("b", "study", "duplicate"),
        "c": ("b", "patient", "duplicate"),
        "d": ("b", "another_patient", "duplicate"),
    }
    assert archive.find() == {"e": ("b", "earlier_delivery", "duplicate")}


def test_another_place_or_size_is_no_copy(archive):
    voxels, moved = body(1), AFFINE.copy()
    moved[0, 3] += 1
    archive.deliver(
        [
            archive.volume(voxels, volume="a"),
            archive.volume(voxels, moved, volume="b", study="t"),
            archive.volume(voxels.reshape(36, 40, 12), volume="c", study="u"),
        ]
    )
    assert archive.find() == {}


def test_copies_over_three_deliveries_keep_the_first(archive):
    voxels = body(1)
    for patient in ("r", "q", "p"):
        archive.deliver([archive.volume(voxels, volume=patient, patient=patient, study=patient)])
    assert archive.find() == {"p": ("r", "earlier_delivery", "duplicate")}
    assert archive.find([0, 1]) == {"q": ("r", "earlier_delivery", "duplicate")}
    assert archive.find([1, 2]) == {"p": ("q", "earlier_delivery", "duplicate")}  # the first is removed
    assert archive.find([2, 1, 0]) == {"r": ("p", "earlier_delivery", "duplicate")}  # another order
    assert archive.find([0]) == {}


def test_later_delivery_changes_no_earlier_one(archive):
    voxels = body(1)
    archive.deliver([archive.volume(voxels, volume="a", patient="z", study="z")], reports=set())
    before = archive.find()
    archive.deliver([archive.volume(voxels, volume="b", patient="a", study="a")])
    assert archive.find([0]) == before == {}
    assert archive.find() == {}  # the report is with the later copy, and the earlier one gives no image


def test_study_delivered_again_is_used_once(archive):
    for _ in range(2):
        archive.deliver([archive.volume(body(1), volume="a"), archive.volume(body(2), volume="b")])
    assert archive.find() == {name: (name, "earlier_delivery", "duplicate") for name in "ab"}


def test_copy_whose_study_has_the_report_is_used(archive):
    voxels = body(1)
    copies_of_one = [archive.volume(voxels, volume=name, patient=name, study=name, sex="F") for name in "ab"]
    archive.deliver(copies_of_one, [archive.volume(voxels, volume="c", patient="c", study="c")], reports={"c"})
    assert archive.find() == dict.fromkeys("ab", ("c", "another_patient", "duplicate"))


def test_copied_study_is_used_as_a_whole(archive):
    volumes = [
        archive.volume(body(seed), volume=f"{study}{seed}", patient=study, study=study, body_part=part)
        for seed, part_of in enumerate(({"x": "CHEST"}, {"y": "CHEST"}, {"x": "CHEST"}))
        for study in "xy"
        for part in [part_of.get(study)]
    ]
    archive.deliver(volumes)
    assert archive.find() == {f"y{n}": (f"x{n}", "another_patient", "duplicate") for n in range(3)}


def test_quarantined_volumes_are_no_copies(archive):
    voxels = body(1)
    bad = archive.volume(voxels, volume="b", study="t") | {"digest": None, "file": None, "reason": "slice_missing"}
    archive.deliver([archive.volume(voxels, volume="a"), bad, bad | {"volume": "c"}])
    assert archive.find() == {}


def compressed(voxels):
    """As if compressed lossily: a small error whose fine structure is weaker than that of the noise."""
    return voxels + np.random.default_rng(9).normal(0, 4, SHAPE).round().astype(np.int16)


def skull(seed):
    """Edges far stronger than the noise, as in heads, at one place in both acquisitions."""
    return (body(seed) + 1500 * (((X - 20) ** 2 + (Y - 18) ** 2).astype(int) // 40 % 5 == 0)).astype(np.int16)


def windowed(voxels):
    return np.clip((voxels + 250) * 0.51, 0, 255).round().astype(np.int16)


def rounded(decimals):
    return AFFINE.round(decimals) + np.array([[0, 0, 0, 0.04]] * 2 + [[0, 0, 0, 0]] * 2)


def cropped(columns, slices):
    affine = AFFINE.copy()
    affine[:3, 3] = (AFFINE @ [columns, 0, slices, 1])[:3]
    return affine


ALTERED = {
    "compressed": (compressed(body(1)), AFFINE),
    "rescaled": ((body(1) + 1024) // 2, AFFINE),
    "windowed": (windowed(body(1)), AFFINE),
    "inverted": (500 - body(1), AFFINE),
    "rounded positions": (body(1), rounded(1)),
    "cropped": (body(1)[2:, :-1], cropped(2, 0)),
    "one slice fewer": (body(1)[:, :, 1:], cropped(0, 1)),
    "cropped and compressed": (compressed(body(1))[:-3, :, :-1], AFFINE),
}
FOREIGN = {
    "another acquisition": (body(2), AFFINE),
    "another contrast phase": (
        (body(2) + 200 * np.exp(-((X - 20) ** 2 + (Y - 18) ** 2) / 30)).astype(np.int16),
        AFFINE,
    ),
    "a sharper kernel": ((3 * body(1).astype(int) - 2 * np.roll(body(1), 1, 0)).astype(np.int16), AFFINE),
    "half of the slices": (body(1)[:, :, ::2], AFFINE @ np.diag([1, 1, 2, 1])),
    "a quarter of the body": (body(1)[:20, :18], AFFINE),
    "no noise": ((8 * Z + X).astype(np.int16), AFFINE),
    "all one value": (np.zeros(SHAPE, np.int16), AFFINE),
}


@pytest.mark.parametrize("changes", [{"patient": "q", "study": "t"}, {"study": "t"}])
@pytest.mark.parametrize("alteration", ALTERED)
def test_altered_copy_of_another_study_is_used_once(archive, alteration, changes):
    archive.deliver([archive.volume(body(1), volume="a", age=50)])
    archive.deliver([archive.volume(*ALTERED[alteration], volume="b", age=51, **changes)])
    assert archive.find() == {"b": ("a", "earlier_delivery", "altered_copy")}
    assert archive.metrics["made"] == {"pairs of volumes compared": 1}


def test_strong_edges_at_one_place_are_no_copy(archive):
    archive.deliver([archive.volume(skull(1), volume="a"), archive.volume(skull(2), volume="b", study="t")])
    archive.deliver([archive.volume(compressed(skull(1)), volume="c", study="u")])
    assert archive.find([0]) == {} and archive.find() == {"c": ("a", "earlier_delivery", "altered_copy")}


@pytest.mark.parametrize(("changes", "found"), [({"patient": "q"}, 1), ({}, 0)])
def test_kernels_of_one_acquisition_stay_unless_patients_differ(archive, changes, found):
    """One body under two patients is one patient too many, but a patient may have two kernels in two studies."""
    kernel = (body(1) + 0.8 * (body(1) - np.roll(body(1), 1, 0))).round().astype(np.int16)
    archive.deliver([archive.volume(body(1), volume="a"), archive.volume(kernel, volume="b", study="t", **changes)])
    assert len(archive.find()) == found


def test_few_of_many_volumes_on_one_grid_are_compared(archive):
    archive.deliver([archive.volume(body(seed), volume=f"{seed}", study=f"{seed}") for seed in range(20)])
    assert archive.find() == {} and archive.metrics["made"]["pairs of volumes compared"] < 190


@pytest.mark.parametrize("alteration", FOREIGN)
def test_similar_volume_is_no_altered_copy(archive, alteration):
    archive.deliver([archive.volume(body(1), volume="a")])
    archive.deliver([archive.volume(*FOREIGN[alteration], volume="b", patient="q", study="t")])
    assert archive.find() == {}


@pytest.mark.parametrize(
    "columns",
    [
        {},  # a series of the same study: kernels and phases may be nearly equal
        {"study": "t", "date": datetime.date(2020, 1, 2)},
        {"study": "t", "patient": "q", "sex": "M"},
        {"study": "t", "patient": "q", "age": 61},
        {"study": "t", "patient": "q", "modality": "MR"},
    ],
)
def test_headers_that_contradict_a_copy_keep_both(archive, columns):
    header = {"sex": "F", "age": 50, "date": datetime.date(2020, 1, 1)}
    altered = archive.volume(compressed(body(1)), volume="b", **header | columns)
    archive.deliver([archive.volume(body(1), volume="a", **header), altered])
    assert archive.find() == {} and archive.metrics["made"] == {}


def test_series_delivered_again_compressed_is_used_once(archive):
    archive.deliver([archive.volume(body(1), volume="a")])
    archive.deliver([archive.volume(compressed(body(1)), volume="a")])
    assert archive.find() == {"a": ("a", "earlier_delivery", "altered_copy")}


def test_copies_of_an_altered_copy_share_its_original(archive):
    other = compressed(body(1))
    archive.deliver(
        [archive.volume(body(1), volume="a", patient="a", study="a")],
        [
            archive.volume(other, volume="b", patient="b", study="b"),
            archive.volume(other, volume="c", patient="c", study="c"),
        ],
    )
    assert archive.find() == dict.fromkeys("bc", ("a", "another_patient", "altered_copy"))


@pytest.mark.parametrize("kind", ["same_voxels", "altered"])
def test_copies_are_kept_and_counted_on_request(archive, kind):
    archive.deliver(
        [
            archive.volume(body(1), volume="a"),
            archive.volume(body(1), volume="b", study="t"),
            archive.volume(compressed(body(1)), volume="c", study="u"),
        ]
    )
    found = archive.find(**{kind: "keep"})
    reasons = {"same_voxels": "duplicate", "altered": "altered_copy"} | {kind: None}
    assert found == {"b": ("a", "patient", reasons["same_voxels"]), "c": ("a", "patient", reasons["altered"])}
    assert archive.metrics["tables"]["copies"] == {
        "same voxels as another volume": 1,
        "altered copy of another volume": 1,
    }


def test_table_does_not_depend_on_the_order_of_rows(archive):
    volumes = [archive.volume(body(seed % 2), volume=f"v{seed}", study=f"s{seed}") for seed in range(6)]
    archive.deliver(volumes)
    archive.deliver(volumes[::-1])
    assert archive.find([0]) == archive.find([1])


def test_empty_shards_have_no_copies(archive):
    archive.deliver([], [])
    assert archive.find() == {}
