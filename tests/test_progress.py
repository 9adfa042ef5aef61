"""The progress of a run as people read it in a pipe."""

import io
import logging
import time
from types import SimpleNamespace

import pytest
from rich.console import Console
from snakemake_interface_logger_plugins.common import LogEvent

from refrad.workflow.job_records import own_record
from snakemake_logger_plugin_refrad import Job, LogHandler


@pytest.fixture
def handler():
    made = LogHandler(SimpleNamespace(dryrun=False), None)
    made.console = Console(file=io.StringIO(), width=120)
    yield made
    made.close()


def send(handler, event, **values):
    record = logging.LogRecord(
        "snakemake", values.pop("level", logging.INFO), "", 0, values.pop("text", ""), None, None
    )
    vars(record).update(values, event=event)
    handler.emit(record)
    return handler.console.file.getvalue()


def test_finished_job_is_one_line_with_its_time(handler):
    assert send(handler, LogEvent.JOB_INFO, jobid=1, rule_msg="volumes of demo, shard 0", log=[]) == ""
    assert send(handler, LogEvent.JOB_FINISHED, job_id=1) == "  0:00  volumes of demo, shard 0\n"


def test_roll_ups_are_not_logged(handler):
    send(handler, LogEvent.JOB_INFO, jobid=1, rule_msg=None, log=[])
    assert send(handler, LogEvent.JOB_FINISHED, job_id=1) == ""


def test_error_is_logged_in_full(handler):
    assert "it went wrong" in send(handler, LogEvent.ERROR, level=logging.ERROR, text="it went wrong")


@pytest.mark.parametrize(
    ("log", "told", "words"),
    [
        ("10:11:12 begins\nrefrad masks: the disk is full\n", "", "refrad masks: the disk is full"),
        (
            "10:11:12 3 of 9 volumes\n",
            "",
            "killed, out of memory or time: its log has no error; the last line of its log: 3 of 9 volumes",
        ),
        (
            "",
            "SLURM status is: OUT_OF_MEMORY. For further error details see the cluster/cloud log and",
            "SLURM status is: OUT_OF_MEMORY.",
        ),
    ],
)
def test_failed_job_is_its_error_and_its_log(handler, tmp_path, log, told, words):
    (tmp_path / "job.log").write_text(log)
    send(handler, LogEvent.JOB_INFO, jobid=1, rule_msg="masks of demo, shard 0", log=[tmp_path / "job.log"])
    send(handler, LogEvent.ERROR, level=logging.ERROR, text="RuleException:\nCalledProcessError in file x")
    lines = send(handler, LogEvent.JOB_ERROR, jobid=1, level=logging.ERROR, text=told).splitlines()
    assert lines[0] == "  0:00  failed: masks of demo, shard 0" and lines[1].strip() == words
    assert lines[-1].strip() == f"log: {tmp_path}/job.log"


def test_run_without_a_job_says_so(handler):
    assert send(handler, None, text="Nothing to be done (all is there).") == "nothing to be done: all is up to date\n"


def test_lock_left_by_a_killed_run_has_its_remedy(handler):
    assert "refrad recover" in send(handler, LogEvent.ERROR, level=logging.ERROR, text="LockException:\nError: x")


def test_last_log_line_is_without_its_time(tmp_path):
    log = tmp_path / "job.log"
    log.write_text("10:11:12 first\n10:11:13 3 of 9 volumes\n")
    assert Job("masks", log, time.monotonic(), 0).last_line() == "3 of 9 volumes"
    assert Job("masks", tmp_path / "none.log", 0, 0).last_line() == ""


def test_record_of_the_process_is_no_progress(tmp_path):
    log = tmp_path / "job.log"
    log.write_text(f"10:11:12 masks: {own_record()}\n")
    assert Job("masks", log, time.monotonic(), 0).last_line() == ""


def test_dry_run_has_each_rule_and_its_reason(capsys):
    handler = LogHandler(SimpleNamespace(dryrun=True), None)
    record = logging.LogRecord("snakemake", logging.INFO, "", 0, "", None, None)
    reason = "Missing output files: results/a, results/b; Code has changed since last execution"
    vars(record).update(event=LogEvent.JOB_INFO, rule_name="index_delivery", rule_msg="index of demo", reason=reason)
    handler.emit(record)
    said = capsys.readouterr().out.split("  ")
    assert [one.strip() for one in said if one.strip()] == [
        "index_delivery",
        "index of demo",
        "missing output files; code has changed since last execution",
    ]
