"""Thousands of broken files through index and volumes: no crash, no hang, bounded memory, and none is lost."""

import json
import os
import resource
import shutil
import struct

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement
from tests.factories import make_volumes

from refrad.core.contracts import InstanceTable
from refrad.core.tables import read_table
from refrad.dicom.reasons import REASONS

pytestmark = pytest.mark.slow

SEEDS = 130  # times the kinds of mutation below: more than two thousand files
HUGE = (2**31 - 1, 2**32 - 2, 65535, 0)


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def flip_bits(content, r):
    content = bytearray(content)
    for place in r.integers(0, len(content), r.integers(1, 40)):
        content[place] ^= 1 << int(r.integers(0, 8))
    return content


def flip_bits_of_the_header(content, r):
    content = bytearray(content)
    for place in r.integers(128, min(len(content), 1500), r.integers(1, 12)):
        content[place] ^= 1 << int(r.integers(0, 8))
    return content


def cut_short(content, r):
    return content[: r.integers(0, len(content))]


def swap_lengths(content, r):
    """Big-endian lengths where little-endian ones belong, at places where an explicit VR is likely."""
    content = bytearray(content)
    places = [i for i in range(132, min(len(content) - 8, 3000)) if content[i + 4 : i + 6].isupper()]
    for place in r.choice(places, min(5, len(places)), replace=False):
        content[place + 6 : place + 8] = content[place + 6 : place + 8][::-1]
    return content


def wrong_representations(content, r):
    content = bytearray(content)
    names = [b"SQ", b"OB", b"UN", b"DS", b"UT", b"FD", b"AT", b"zz"]
    places = [i for i in range(132, min(len(content) - 8, 3000)) if content[i + 4 : i + 6].isupper()]
    for place in r.choice(places, min(4, len(places)), replace=False):
        content[place + 4 : place + 6] = names[r.integers(0, len(names))]
    return content


def zero_bytes(content, r):
    start = r.integers(0, len(content))
    return content[:start] + bytes(int(r.integers(1, 3000))) + content[start:]


def only_zeros(_content, r):
    return bytes(int(r.integers(0, 3000)))


def no_dicom(_content, r):
    return r.bytes(int(r.integers(1, 3000)))


def noise_after_a_preamble(_content, r):
    return bytes(128) + b"DICM" + r.bytes(int(r.integers(1, 3000)))


def greedy_length(_content, r):
    """A first element that claims gigabytes."""
    tag = struct.pack("<HH", 0x0010, 0x0010)
    return bytes(128) + b"DICM" + tag + struct.pack("<I", HUGE[r.integers(0, 3)]) + b"x" * 100


def nested_sequences(_content, r):
    opened = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return bytes(128) + b"DICM" + opened * int(r.integers(10, 20_000))


def of_dataset(change):
    def mutate(content, r):
        dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content))
        change(dataset, r)
        buffer = pydicom.filebase.DicomBytesIO()
        dataset.save_as(buffer)
        return buffer.getvalue()

    mutate.__name__ = change.__name__
    return mutate


@of_dataset
def huge_dimensions(dataset, r):
    dataset.Rows, dataset.Columns = int(r.choice([65535, 1, 0])), int(r.choice([65535, 40_000]))


@of_dataset
def many_frames(dataset, r):
    dataset.NumberOfFrames = int(HUGE[r.integers(0, 4)])


@of_dataset
def paths_as_identifiers(dataset, r):
    evil = ["../../../../tmp/evil", "/etc/passwd", "..\\..\\evil", "a\0b", "$(touch evil)", "x" * 64]
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"):
        dataset[keyword] = DataElement(keyword, "LO", evil[r.integers(0, len(evil))], validation_mode=0)


@of_dataset
def senseless_geometry(dataset, r):
    odd = ["nan", "inf", "-1e300", "1e-320", "", "abc", "0"]
    for keyword, count in (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6), ("PixelSpacing", 2)):
        values = [str(v) for v in r.choice([*odd, "1", "0", "0", "1"], count)]
        dataset[keyword] = DataElement(keyword, "LO", values, validation_mode=0)


@of_dataset
def broken_frames(dataset, r):
    item = Dataset()
    item.PlanePositionSequence = [Dataset()]
    dataset.PerFrameFunctionalGroupsSequence = [item] * int(r.integers(1, 500))


MUTATIONS = [
    *(flip_bits, flip_bits_of_the_header, cut_short, swap_lengths, wrong_representations, zero_bytes, only_zeros),
    *(no_dicom, noise_after_a_preamble, greedy_length, nested_sequences, huge_dimensions, many_frames),
    *(paths_as_identifiers, senseless_geometry, broken_frames),
]


def test_broken_files_are_all_counted_without_a_crash(shared, tmp_path):
    sources = [
        shared / "dicom-mr" / "pydicom_small" / "MR_small.dcm",
        shared / "dicom-mr" / "pydicom_small" / "MR_small_implicit.dcm",
        shared / "dicom-mr" / "pydicom_small" / "MR_small_RLE.dcm",
        shared / "dicom-mr" / "pydicom_small" / "emri_small.dcm",
        shared / "dicom-ct" / "dcmqi_ct_3slice_seg" / "liver.dcm",
    ]
    contents = [path.read_bytes() for path in sources]
    delivery = tmp_path / "d"
    count = 0
    for seed in range(SEEDS):
        (delivery / str(seed)).mkdir(parents=True)
        for mutation in MUTATIONS:
            r = np.random.default_rng([seed, count])
            (delivery / str(seed) / f"{count}").write_bytes(mutation(contents[seed % len(contents)], r))
            count += 1
    for name, target in [("loop", "loop"), ("up", ".."), ("zero", "/dev/zero"), ("gone", "nowhere"), ("self", "../d")]:
        (delivery / name).symlink_to(target)
    os.mkfifo(delivery / "pipe")
    (delivery / os.fsdecode(b"\xff\xfe.dcm")).touch()
    shutil.copytree(shared / "dicom-mr" / "dicom2nifti_uncompressed_sagittal", delivery / "good")
    others, good = 7, 4
    assert count > 2000

    memory = peak_megabytes()
    made = make_volumes(
        delivery, tmp_path, index_options={"memory_gb": 1.5, "seconds": 10.0}, memory_gb=2.0, seconds=20.0
    )
    assert peak_megabytes() - memory < 300  # of this process; those that read files have their limits from the system

    flow = made.index["flow"]
    assert flow["taken"] == count + others + good
    assert flow["taken"] == flow["used"] + sum(flow["aside"].values())
    assert set(flow["aside"]) <= set(REASONS)
    assert {"not_dicom", "unreadable", "no_geometry", "linked_folder", "name_not_utf8"} <= set(flow["aside"])
    instances = read_table(tmp_path / "instances.parquet", InstanceTable)
    assert instances["file"].n_unique() == flow["taken"]
    assert instances["reason"].drop_nulls().is_in(list(REASONS)).all()
    assert instances["volume"].is_null().equals(instances["reason"].is_not_null())
    accepted = made.volumes.filter(made.volumes["reason"].is_null())
    assert 4 in accepted["slices"]  # the good series among the broken ones
    assert made.metrics["flow"]["taken"] == len(made.volumes)
    assert not [path for path in tmp_path.iterdir() if "evil" in path.name]
    public = json.dumps(made.index) + json.dumps(made.metrics) + str(instances.to_dicts())
    assert "evil" not in public and "passwd" not in public
