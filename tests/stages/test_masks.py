"""Stage masks: label volumes on the grid of each volume, from a store, a site or another series."""

import gzip
import re
from importlib.resources import files

import nibabel as nib
import numpy as np
import polars as pl
import pytest

from refrad.config.imaging import SEGMENTERS, SegmenterEntry
from refrad.core.contracts import InstanceTable, MaskTable, VolumeTable
from refrad.core.files import digest_bytes
from refrad.core.tables import frame_of, read_public_set, read_table, write_table
from refrad.dicom.volume_store import store_volume
from refrad.privacy.pseudonyms import FileTable
from refrad.reporting.wording import REASONS
from refrad.segmentation.labels import load_labels
from refrad.workflow.fingerprint import Fingerprint

PRECOMPUTED = {"segmenter": "precomputed", "weights": None, "minutes": 5.0, "memory_gb": 20.0, "concurrent_volumes": 2}


@pytest.fixture
def site(study, tmp_path):
    """The study with a folder of the site's own masks, on a flipped grid."""
    study.delivered = tmp_path / "delivered"
    study.delivered.mkdir()
    flipped = study.affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
    flipped[:3, 3] = study.affine[:3, 3] + study.affine[:3, 0] * (study.labels.shape[0] - 1)
    nib.save(nib.Nifti1Image(study.labels[::-1], flipped), study.delivered / "mask.nii.gz")
    (study.delivered / "masks.csv").write_text("dicom,mask\nct,mask.nii.gz\n")
    blank = dict.fromkeys(
        (
            *("patient_id", "issuer", "patient_name", "birth_date", "accession_number"),
            *("study_uid", "series_uid", "instance_uid"),
        ),
        "",
    )
    file = blank | {"file": "f", "path": "ct/1.dcm", "names": "", "institution": "", "patient": "p", "study": "study"}
    file |= {"shard": 0}
    instance = {
        **{
            "file": "f",
            "frame": 0,
            "slices": 1,
            "instance": "i0",
            "series": "s",
            "study": "study",
            "patient": "p",
            "volume": "v",
        },
        **{"modality": "CT", "series_number": 3, "instance_number": 1, "shard": 0, "split": "train", "reason": None},
    }
    stub = Fingerprint("index", 1, {}, {})
    write_table(study.path("files"), frame_of([file], FileTable), FileTable, stub)
    write_table(study.path("instances"), frame_of([instance], InstanceTable), InstanceTable, stub)
    return study


def run(site, options=PRECOMPUTED, **paths):
    inputs = {
        "precomputed": site.delivered,
        "mask_table": None,
        "instances": site.path("instances"),
        "files": site.path("files"),
        "store": site.mask_store,
        "shard": 0,
    }
    return site.run("masks", options, **(inputs | paths))


def test_precomputed_masks_are_resampled_to_the_volume(site):
    metrics = run(site)
    (row,) = read_table(site.path("masks"), MaskTable).to_dicts()
    assert metrics["flow"] == {"taken": 1, "used": 1, "aside": {}}
    assert np.array_equal(load_labels(site.mask_store / row["file"]), site.labels)
    assert (row["segmenter"], row["labels"]) == ("precomputed", 3)


DUMMY = """
from refrad.segmentation.base import SegmentedVolume
from refrad.segmentation.labels import save_labels, summarize_labels
from refrad.dicom.volume_store import read_volume

class Dummy:
    name = "dummy 1"

    def source(self, volume, task):
        return "dummy"

    def weights(self, task):
        return None

    def label(self, jobs, limits, scratch):
        for job in jobs:
            volume, affine = read_volume(job.volume)
            labels = (volume > -500).astype("uint8")
            save_labels(job.labels, labels, affine)
            yield SegmentedVolume(job.key, 0.5, *summarize_labels(labels))

def create(options, delivered):
    return Dummy()
"""


def test_segmenter_of_a_registry_line_labels_the_volumes(site, tmp_path, monkeypatch):
    (tmp_path / "dummy_segmenter.py").write_text(DUMMY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SEGMENTERS, "dummy", SegmenterEntry("dummy_segmenter:create"))
    metrics = run(site, PRECOMPUTED | {"segmenter": "dummy"}, precomputed=None)
    (row,) = read_table(site.path("masks"), MaskTable).to_dicts()
    assert metrics["flow"] == {"taken": 1, "used": 1, "aside": {}}
    assert (row["segmenter"], row["weights"], row["reason"]) == ("dummy 1", None, None)
    assert load_labels(site.mask_store / row["file"]).any()


def test_unregistered_segmenter_is_refused_with_the_known_names(site):
    with pytest.raises(ValueError, match=r"no segmenter \(there are totalsegmentator, precomputed"):
        run(site, PRECOMPUTED | {"segmenter": "dummy"})


def test_mask_store_keys_are_those_of_earlier_versions(site, tmp_path, monkeypatch):
    (tmp_path / "keyed_segmenter.py").write_text(DUMMY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SEGMENTERS, "dummy", SegmenterEntry("keyed_segmenter:create"))
    run(site, PRECOMPUTED | {"segmenter": "dummy"}, precomputed=None)
    key = digest_bytes(*(part.encode() for part in (site.volume()["digest"], "total", "dummy", "dummy", "fastest")))
    assert read_table(site.path("masks"), MaskTable)["file"].item() == f"{key[:2]}/{key}.nii.gz"


def test_table_of_masks_keeps_the_public_set_of_its_delivery(site):
    run(site)
    assert read_public_set(site.path("masks")) is None
    instances = read_table(site.path("instances"), InstanceTable)
    write_table(site.path("instances"), instances, InstanceTable, Fingerprint("index", 1, {}, {}), "ct-rate")
    run(site)
    assert read_public_set(site.path("masks")) == "ct-rate"


def test_stored_masks_are_not_made_again(site):
    run(site)
    before = read_table(site.path("masks"), MaskTable)
    assert run(site)["made"]["labels from the store"] == 1
    assert read_table(site.path("masks"), MaskTable).equals(before)


def test_changed_mask_is_another_store_entry(site):
    run(site)
    first = read_table(site.path("masks"), MaskTable)["file"].item()
    nib.save(nib.Nifti1Image(np.zeros_like(site.labels), site.affine), site.delivered / "mask.nii.gz")
    run(site)
    assert read_table(site.path("masks"), MaskTable)["file"].item() != first


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (
            lambda site: nib.Nifti1Image(site.labels, site.affine + np.array([[0, 0, 0, 900]] + [[0] * 4] * 3)),
            "mask_elsewhere",
        ),
        (lambda site: nib.Nifti1Image(site.labels + 0.5, site.affine), "mask_not_labels"),
    ],
)
def test_wrong_mask_is_quarantined_and_the_run_continues(site, mask, reason):
    nib.save(mask(site), site.delivered / "mask.nii.gz")
    assert run(site)["flow"]["aside"] == {reason: 1}
    row = read_table(site.path("masks"), MaskTable).row(0, named=True)
    assert row["reason"] == reason and row["file"] is None


def test_volume_without_a_mask_row_is_quarantined(site):
    (site.delivered / "masks.csv").write_text("dicom,mask\nmr,mask.nii.gz\n")
    assert run(site)["flow"]["aside"] == {"no_precomputed_mask": 1}


def test_split_stack_parts_share_the_mask_of_their_files(site):
    volumes = read_table(site.path("volumes"), VolumeTable).with_columns(volume=pl.lit("v-1"))
    write_table(site.path("volumes"), volumes, VolumeTable, Fingerprint("volumes", 1, {}, {}))
    assert run(site)["flow"] == {"taken": 1, "used": 1, "aside": {}}


def moved(site, columns=0.0, slices=0.0):
    """The study's labels on a grid that is moved by parts of the volume's extent."""
    columns, slices = columns * site.labels.shape[0], slices * site.labels.shape[2]
    affine = site.affine.copy()
    affine[:3, 3] += affine[:3, 0] * columns + affine[:3, 2] * slices
    return nib.Nifti1Image(site.labels, affine)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (lambda site: moved(site, slices=0.5), "mask_elsewhere"),
        (lambda site: moved(site, columns=0.1), "mask_elsewhere"),
        (lambda site: moved(site, slices=-1 / 6), "mask_elsewhere"),
        (lambda site: nib.Nifti1Image(site.labels[:, :, :4], site.affine), "mask_elsewhere"),
        (lambda site: nib.Nifti1Image(site.labels[4:-4], site.affine), "mask_elsewhere"),
        (lambda site: moved(site, columns=0.01), None),
    ],
)
def test_mask_that_does_not_cover_the_volume_is_elsewhere(site, mask, reason):
    nib.save(mask(site), site.delivered / "mask.nii.gz")
    assert run(site)["flow"]["aside"] == ({reason: 1} if reason else {})


def test_mask_beside_the_voxels_of_the_volume_is_shifted(site):
    affine = site.affine.copy()
    affine[:3, 3] += 0.5 * affine[:3, 0]
    nib.save(nib.Nifti1Image(site.labels, affine), site.delivered / "mask.nii.gz")
    assert run(site, PRECOMPUTED | {"minimum_coverage": 0.5})["flow"]["aside"] == {"mask_shifted": 1}


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_mask_flipped_in_its_grid_is_quarantined_or_kept_and_counted(site, axes):
    nib.save(nib.Nifti1Image(np.flip(site.labels, axes), site.affine), site.delivered / "mask.nii.gz")
    assert run(site)["flow"]["aside"] == {"mask_flipped": 1}
    metrics = run(site, PRECOMPUTED | {"disagreeing": "keep"})
    assert metrics["flow"]["used"] == 1
    assert metrics["tables"]["given masks that were read"] == {"mask that does not fit its volume, and is kept": 1}
    assert run(site)["flow"]["used"] == 0, "labels that were kept are not those of the strict policy"


def test_least_coverage_of_a_mask_is_an_option(site):
    nib.save(nib.Nifti1Image(site.labels[:, :, :4], site.affine), site.delivered / "mask.nii.gz")
    assert run(site, PRECOMPUTED | {"minimum_coverage": 0.5})["flow"]["used"] == 1
    assert run(site)["flow"]["aside"] == {"mask_elsewhere": 1}  # not from the store


def test_folder_of_class_files_gives_the_labels(site):
    folder = site.delivered / "classes"
    folder.mkdir()
    for name, label in {"liver": 5, "kidney_right": 2, "kidney_left": 3, "tumour_of_doe": 99}.items():
        mask = (site.labels == label).astype(np.uint8)
        nib.save(nib.Nifti1Image(mask, site.affine), folder / f"{name}.nii.gz")
    (site.delivered / "masks.csv").write_text("dicom;mask\nct;classes\n")
    metrics = run(site)
    (row,) = read_table(site.path("masks"), MaskTable).to_dicts()
    assert np.array_equal(load_labels(site.mask_store / row["file"]), site.labels)
    assert metrics["tables"]["given masks that were read"] == {"files of a class that the task does not have": 1}
    (folder / "liver.nii.gz").write_bytes(b"broken")
    assert run(site)["flow"]["aside"] == {"mask_not_nifti": 1}


def test_broken_mask_is_quarantined_without_its_name_in_the_log(site, caplog):
    (site.delivered / "Doe_John.nii.gz").write_bytes(b"broken")
    (site.delivered / "masks.csv").write_text("dicom,mask\nct,Doe_John.nii.gz\nct/3,no_Doe.nii.gz\n")
    metrics = run(site)
    assert metrics["flow"] == {"taken": 1, "used": 0, "aside": {"mask_not_nifti": 1}}
    assert metrics["tables"]["rows of the table of masks"] == {
        "names a mask and images of the delivery": 1,
        "names nothing of the delivery": 1,
    }
    assert "Doe" not in caplog.text and str(site.delivered) not in caplog.text


def test_mask_beyond_the_time_limit_is_quarantined(site):
    assert run(site, PRECOMPUTED | {"minutes": 1e-9})["flow"]["aside"] == {"mask_beyond_limits": 1}


def test_mask_beyond_the_memory_limit_is_quarantined(site):
    large = np.zeros((1500, 1500, 800), np.uint8)
    content = nib.Nifti1Image(large[:1, :1, :1], site.affine)
    content.header.set_data_shape(large.shape)
    content.header["vox_offset"] = 352
    with gzip.open(site.delivered / "mask.nii.gz", "wb", compresslevel=1) as file:
        file.write(content.header.binaryblock + bytes(4) + bytes(large.nbytes))
    assert run(site, PRECOMPUTED | {"memory_gb": 2.0})["flow"]["aside"] == {"mask_beyond_limits": 1}


def test_reasons_of_given_masks_have_their_sentences():
    source = "".join((files("refrad.segmentation") / name).read_text() for name in ("label_files.py", "mask_table.py"))
    source += (files("refrad.segmentation") / "precomputed.py").read_text()
    reasons = set(re.findall(r'"(\w*mask\w*)"', source)) - {"mask", "files_of_mask", "masks_of_volumes"}
    assert len(reasons) > 10 and reasons <= REASONS.keys()


def test_rows_of_the_table_are_counted_in_the_first_shard_only(site):
    first = read_table(site.path("instances"), InstanceTable)
    shifted = first.with_columns(shard=pl.lit(1, pl.Int32))
    earlier = first.with_columns(volume=pl.lit("u"), instance=pl.lit("i9"), file=pl.lit("g"))
    write_table(site.path("instances"), pl.concat([shifted, earlier]), InstanceTable, Fingerprint("index", 1, {}, {}))
    assert "rows of the table of masks" not in run(site)["tables"]


def test_mask_table_elsewhere_names_the_masks(site, tmp_path):
    (site.delivered / "masks.csv").unlink()
    pl.DataFrame({"volume": ["ct/1.dcm"], "mask": ["mask.nii.gz"]}).write_parquet(tmp_path / "given.parquet")
    run(site, mask_table=tmp_path / "given.parquet")
    assert read_table(site.path("masks"), MaskTable)["reason"].to_list() == [None]


def test_missing_weights_stop_before_any_download(site, tmp_path):
    options = PRECOMPUTED | {"segmenter": "totalsegmentator", "weights": str(tmp_path)}
    with pytest.raises(FileNotFoundError, match="totalseg_download_weights"):
        run(site, options)


def test_masks_table_has_a_row_for_each_accepted_volume(site):
    run(site)
    masks, volumes = read_table(site.path("masks"), MaskTable), pl.read_parquet(site.path("volumes"))
    assert masks["volume"].to_list() == volumes.filter(pl.col("reason").is_null())["volume"].to_list()


def coronal(site, frame: str | None) -> dict:
    """A second series of the study, in another plane and on another grid; table and voxels."""
    affine = np.array([[-4.0, 0, 0, 0], [0, 0, -2.0, 0], [0, 5.0, 0, 0], [0, 0, 0, 1]])
    digest, file = store_volume(np.zeros((16, 6, 24), np.int16), affine, site.volume_store)
    sizes = {"columns": 16, "rows": 6, "slices": 24, "spacing_x": 4.0, "spacing_y": 5.0, "spacing_z": 2.0}
    return site.volume() | sizes | {"volume": "w", "plane": "coronal", "digest": digest, "file": file, "frame": frame}


def test_series_without_masks_borrows_from_another_plane(site):
    site.write(VolumeTable, "volumes", [site.volume() | {"frame": "f"}, coronal(site, "f")])
    metrics = run(site, PRECOMPUTED | {"borrow": True})
    assert metrics["flow"] == {"taken": 2, "used": 2, "aside": {}}
    rows = {row["volume"]: row for row in read_table(site.path("masks"), MaskTable).to_dicts()}
    assert rows["w"]["segmenter"] == "precomputed, of another series"
    borrowed = load_labels(site.mask_store / rows["w"]["file"])
    assert np.array_equal(borrowed, site.labels[::2].transpose(0, 2, 1))
    again = run(site, PRECOMPUTED | {"borrow": True})["made"]
    assert (again["labels from the store"], again["labels borrowed"], again.get("labels made", 0)) == (1, 1, 0)


@pytest.mark.parametrize(("frame", "borrow"), [("another", True), (None, True), ("f", False)])
def test_masks_are_borrowed_within_a_frame_and_if_configured(site, frame, borrow):
    site.write(VolumeTable, "volumes", [site.volume() | {"frame": "f"}, coronal(site, frame)])
    assert run(site, PRECOMPUTED | {"borrow": borrow})["flow"]["aside"] == {"no_precomputed_mask": 1}


FAILING = "/proc/self/mem"  # reading its first bytes is an input/output error


@pytest.mark.parametrize("mask", ["mask.nii.gz", "classes/liver.nii.gz"])
def test_masks_go_on_after_a_storage_error(site, mask, caplog):
    volumes = [site.volume(), coronal(site, None)]
    site.write(VolumeTable, "volumes", volumes)
    (site.delivered / "classes").mkdir()
    (site.delivered / mask).unlink(missing_ok=True)
    (site.delivered / mask).symlink_to(FAILING)
    (site.delivered / "masks.csv").write_text(f"dicom,mask\nct,{mask.partition('/')[0]}\n")
    metrics = run(site, shard=4)
    assert metrics["flow"] == {"taken": 2, "used": 0, "aside": {"storage_error": 1, "no_precomputed_mask": 1}}
    assert site.path("files").with_name("storage_errors_masks_4.txt").read_text() == f"{mask}\n"
    assert "the storage failed for 1 files" in caplog.text and "nii" not in caplog.text
    with pytest.raises(ValueError, match="the storage failed for 1 files"):
        run(site, PRECOMPUTED | {"storage_errors": 0})


def test_mask_is_made_once_the_storage_works_again(site):
    mask = site.delivered / "mask.nii.gz"
    mask.rename(site.delivered / "kept")
    mask.symlink_to(FAILING)
    assert run(site)["flow"]["aside"] == {"storage_error": 1}
    mask.unlink()
    (site.delivered / "kept").rename(mask)
    assert run(site)["flow"]["used"] == 1
    assert not site.path("files").with_name("storage_errors_masks_0.txt").exists()
