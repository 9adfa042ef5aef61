import errno
import logging
import os

import pytest

from refrad.core.sandbox import Limits
from refrad.dicom import scan as delivery
from refrad.dicom.headers import Header, ImageRules
from refrad.dicom.scan import find_files, headers_of_file

LIMITS = Limits(memory=4 * 2**30, seconds=60)


def read_headers(folder, workers=1):
    headers_of_files = delivery.read_headers(folder, ImageRules(), LIMITS, workers)
    return sorted((header for headers in headers_of_files for header in headers), key=lambda header: header.path)


def test_files_are_found_at_any_depth(tmp_path):
    for name in ("b", "a/z", "a/y/x.dcm", ".hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(find_files(tmp_path)) == [".hidden", "a/y/x.dcm", "a/z", "b"]


@pytest.mark.parametrize("exists", [True, False])
def test_empty_or_missing_folder_is_an_error_naming_the_key(exists, tmp_path):
    if exists:
        (tmp_path / "d").mkdir()
    with pytest.raises(FileNotFoundError, match=r"deliveries\.dicom"):
        read_headers(tmp_path / "d")


def test_files_that_are_no_dicom_differ_from_broken_ones(tmp_path):
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").touch()
    sequence_without_end = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff"
    (tmp_path / "broken").write_bytes(bytes(128) + b"DICM" + sequence_without_end)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    reasons = {header.path: header.reason for header in read_headers(tmp_path)}
    assert reasons == {"text": "not_dicom", "empty": "not_dicom", "broken": "unreadable", "nowhere": "unreadable"}


def test_pipes_and_circular_links_have_reasons(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "circle").symlink_to(tmp_path)
    reasons = {header.path: header.reason for header in read_headers(tmp_path)}
    assert reasons == {
        **{"pipe": "unreadable", "zeros": "unreadable", "itself": "unreadable"},
        "a/circle": "linked_folder",
    }


def write_greedy(path):
    patient_name = b"\x10\x00\x10\x00" + (2**31).to_bytes(4, "little")
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM" + patient_name)
        file.truncate(2**31 + 200)  # takes no room on the disk


def test_header_beyond_the_memory_limit_has_a_reason(tmp_path):
    write_greedy(tmp_path / "greedy")
    ((header,),) = delivery.read_headers(tmp_path, ImageRules(), Limits(2**30, 60), workers=1)
    assert (header.path, header.reason) == ("greedy", "beyond_limits")


def test_files_next_to_one_beyond_the_limits_are_read(tmp_path):
    for number in range(40):
        (tmp_path / str(number)).touch()
    write_greedy(tmp_path / "greedy")
    reasons = [
        header.reason for (header,) in delivery.read_headers(tmp_path, ImageRules(), Limits(2**30, 60), workers=1)
    ]
    assert sorted(reasons) == ["beyond_limits"] + 40 * ["not_dicom"]


def test_name_that_is_not_utf8_has_a_reason(tmp_path):
    for name in (os.fsdecode(b"SCH\xc4DEL"), r"SCH\xc4DEL"):
        (tmp_path / name).touch()
    reasons = [(header.path, header.reason) for header in read_headers(tmp_path)]
    assert reasons == [(r"//SCH\xc4DEL", "name_not_utf8"), (r"SCH\xc4DEL", "not_dicom")]


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EREMOTEIO, errno.ENOTCONN, errno.EBADMSG])
def test_storage_failure_for_a_file_is_its_reason(number, tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    monkeypatch.setattr(delivery, "read_dataset", failing(number))
    assert headers_of_file(tmp_path, "a") == [Header("a", reason="storage_error")]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT])
def test_failure_of_the_machine_ends_the_run(number, tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    monkeypatch.setattr(delivery, "read_dataset", failing(number))
    with pytest.raises(OSError, match="a file or folder of the delivery"):
        headers_of_file(tmp_path, "a")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ELOOP])
def test_file_that_leads_astray_is_unreadable(number, tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    monkeypatch.setattr(delivery, "read_dataset", failing(number))
    assert headers_of_file(tmp_path, "a")[0].reason == "unreadable"


def failing(number):
    def fail(*_args, **_more):
        raise OSError(number, "fails", "/archive/Muster^Max")

    return fail


def test_headers_do_not_depend_on_the_number_of_processes(shared):
    folder = shared / "dicom-mr" / "pydicom_small"
    assert read_headers(folder, workers=1) == read_headers(folder, workers=3)


def test_logs_quote_no_header(shared, caplog, recwarn):
    with caplog.at_level(logging.DEBUG):
        for folder in ("dicom-ct", "dicom-mr"):
            read_headers(shared / folder)
    assert not caplog.records
    assert not recwarn.list
