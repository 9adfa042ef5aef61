import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.review.judgement import ReviewVerdict, VerdictError, standing
from refrad.review.verdicts import open_verdicts

VERDICT = ReviewVerdict(
    reviewer="AB",
    delivery="clinic",
    shard=3,
    patient="00ff",
    image_id="i1",
    item="caption",
    item_id="c1",
    verdict="accept",
    digest="d1",
)
WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from refrad.review.judgement import ReviewVerdict
from refrad.review.verdicts import open_verdicts
verdict = ReviewVerdict(reviewer=sys.argv[2], delivery="clinic", shard=0, patient="p", image_id="i", item="caption", item_id="c",
                        verdict="accept", digest="d")
with open_verdicts(Path(sys.argv[1])) as store:
    for number in range(int(sys.argv[3])):
        store.add(replace(verdict, image_id=f"i{number}"))
        print(number, flush=True)
"""


def given_verdict(**changes):
    return replace(VERDICT, **changes)


def start_writer(path, reviewer, count):
    command = [sys.executable, "-c", WRITER, str(path), reviewer, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "private" / "review" / "verdicts.sqlite"


def test_verdicts_come_back_in_their_order_with_a_time(path):
    with open_verdicts(path) as store:
        numbers = [store.add(given_verdict(image_id=name, reason="zu groß")) for name in ("i2", "i1")]
        assert numbers == [1, 2] and store.last_number() == 2
    with open_verdicts(path, writable=False) as store:
        verdicts = store.all()
        assert [verdict.image_id for verdict in verdicts] == ["i2", "i1"] and verdicts[0].reason == "zu groß"
        assert all(verdict.time.endswith("+00:00") for verdict in verdicts)
        assert [verdict.image_id for verdict in store.all(until=1)] == ["i2"]
        assert [verdict.image_id for verdict in store.all(image_id="i1")] == ["i1"]


def test_file_and_folder_are_closed_to_others(path):
    before = os.umask(0)
    try:
        open_verdicts(path).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("change", ["update verdicts set verdict = 'accept'", "delete from verdicts"])
def test_verdicts_are_only_added(path, change):
    with open_verdicts(path) as store:
        store.add(VERDICT)
    with sqlite3.connect(path) as database, pytest.raises(sqlite3.IntegrityError, match="only added"):
        database.execute(change)


def test_two_reviewers_write_at_once(path):
    writers = [start_writer(path, name, 40) for name in ("AB", "CD", "EF")]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    for writer in writers:
        writer.stdout.close()
    with open_verdicts(path) as store:
        assert {name: sum(v.reviewer == name for v in store.all()) for name in ("AB", "CD", "EF")} == {
            "AB": 40,
            "CD": 40,
            "EF": 40,
        }


def test_killed_reviewer_loses_no_verdict_that_was_confirmed(path):
    for _ in range(3):
        writer = start_writer(path, "AB", 100_000)
        confirmed = [writer.stdout.readline() for _ in range(5)][-1]
        writer.send_signal(signal.SIGKILL)
        confirmed = ([confirmed, *writer.stdout.readlines()])[-1]
        writer.wait()
        writer.stdout.close()
        with open_verdicts(path) as store:
            assert sum(verdict.image_id == f"i{int(confirmed)}" for verdict in store.all()) >= 1
            store.add(given_verdict())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"verdict": "maybe"}, "verdict must be accept, reject, wrong_span, wrong_box, wrong_side or undo"),
        ({"item": "image"}, "item must be caption or question"),
        ({"queue": "other"}, "queue must be browse or random"),
        ({"reviewer": " "}, "needs a reviewer"),
        ({"digest": ""}, "needs a digest"),
        ({"reason": "x" * 1001}, "reason has more than 1000 characters"),
        ({"entity": -1}, "0 or more"),
        ({"item": "question", "entity": 0}, "place of a phrase in a caption"),
        ({"item": "question", "verdict": "wrong_box"}, "not on a question"),
    ],
)
def test_wrong_verdict_is_refused_in_words(changes, words):
    with pytest.raises(VerdictError, match=words):
        given_verdict(**changes)


def test_changed_verdict_is_noticed_when_read(path):
    with open_verdicts(path) as store:
        store.add(VERDICT)
    with sqlite3.connect(path) as database:
        database.execute("drop trigger verdicts_stay_as_they_are")
        database.execute("update verdicts set verdict = 'reject'")
    with open_verdicts(path) as store, pytest.raises(VerdictError, match="is damaged: put a backup"):
        store.all()


@pytest.mark.parametrize("place", range(0, 8192, 997))
def test_damaged_file_is_one_line_or_harmless(path, place):
    with open_verdicts(path) as store:
        for number in range(20):
            store.add(given_verdict(image_id=f"i{number}"))
        expected = store.all()
    content = bytearray(path.read_bytes())
    content[place % len(content) : place % len(content) + 64] = b"\x55" * 64
    path.write_bytes(content)
    messages = []
    try:
        with open_verdicts(path) as store:
            assert store.all() == expected
    except VerdictError as error:
        messages.append(str(error))
    assert all(str(path) in message and "\n" not in message for message in messages)


@pytest.mark.parametrize("content", [b"no database", b"PAR1" * 400])
def test_file_of_another_kind_is_one_line(path, content):
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(VerdictError, match="is damaged"):
        open_verdicts(path)


def test_database_of_another_kind_is_one_line(path):
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as database:
        database.execute("create table verdicts (x)")
    with pytest.raises(VerdictError, match="not a file of verdicts"):
        open_verdicts(path)


def test_missing_file_is_not_made_for_a_reader(path):
    with pytest.raises(VerdictError, match="cannot be opened"):
        open_verdicts(path, writable=False)
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_is_one_line(path):
    path.parent.parent.mkdir()
    path.parent.parent.chmod(0o500)
    with pytest.raises(VerdictError, match="check its permissions"):
        open_verdicts(path)


def test_full_disk_is_told_and_leaves_the_verdicts(path):
    with open_verdicts(path) as store:
        store.add(VERDICT)
    size = path.stat().st_size
    limit = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limited = f"{limit}resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n{WRITER}"
    run = subprocess.run(
        [sys.executable, "-c", limited, str(path), "AB", "4000"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(("OSError", "refrad.review.judgement.VerdictError"))
    with open_verdicts(path) as store:
        assert store.all()[0].digest == "d1"


def counting(*changes):
    return [(v.verdict, v.entity) for v in standing([given_verdict(**change) for change in changes])]


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ([{"verdict": "reject"}, {"verdict": "accept"}], [("accept", None)]),
        ([{"verdict": "wrong_box", "entity": 0}, {"verdict": "wrong_span", "entity": 2}], [("wrong_box", 0), ("wrong_span", 2)]),
        ([{"verdict": "wrong_box", "entity": 0}, {"verdict": "accept"}], [("accept", None)]),
        ([{"verdict": "reject"}, {"verdict": "wrong_box", "entity": 1}], [("wrong_box", 1)]),
        ([{"verdict": "wrong_box", "entity": 1}, {"verdict": "accept", "entity": 1}], [("accept", 1)]),
        ([{"verdict": "reject"}, {"reviewer": "CD"}], [("reject", None), ("accept", None)]),
        ([{"verdict": "reject"}, {"digest": "d2"}], [("reject", None), ("accept", None)]),
        ([{"verdict": "reject"}, {"item": "question"}], [("reject", None), ("accept", None)]),
        ([{"verdict": "reject"}, {"verdict": "undo"}], []),
        ([{"verdict": "undo"}, {"verdict": "reject"}], [("reject", None)]),
        ([{"verdict": "accept"}, {"verdict": "reject"}, {"verdict": "undo"}], [("accept", None)]),
        ([{"verdict": "accept"}, {"verdict": "reject"}, {"verdict": "undo"}, {"verdict": "undo"}], []),
        ([{"verdict": "wrong_box", "entity": 1}, {"verdict": "accept"}, {"verdict": "undo"}], [("wrong_box", 1)]),
        ([{"verdict": "reject"}, {"verdict": "undo", "reviewer": "CD"}], [("reject", None)]),
        ([{"verdict": "reject"}, {"verdict": "undo", "digest": "d2"}], [("reject", None)]),
    ],
)  # fmt: skip
def test_last_verdict_of_a_reviewer_counts(changes, left):
    assert counting(*changes) == left


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "reviewer": st.sampled_from(["AB", "CD"]),
                "verdict": st.sampled_from(["accept", "reject", "wrong_box"]),
                "entity": st.sampled_from([None, 0, 1]),
                "item_id": st.sampled_from(["c1", "c2"]),
            }
        )
    )
)
def test_standing_verdicts_stand_again(changes):
    verdicts = [given_verdict(**change) for change in changes]
    once = standing(verdicts)
    assert standing(once) == once and set(once) <= set(verdicts)
    for verdict in verdicts[-1:]:
        assert verdict in once


def test_another_writer_is_waited_for(path):
    open_verdicts(path).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("begin immediate")
    writer = start_writer(path, "AB", 1)
    time.sleep(0.5)
    assert writer.poll() is None
    holder.execute("commit")
    holder.close()
    assert writer.wait(60) == 0
    writer.stdout.close()
