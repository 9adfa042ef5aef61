"""The verdicts of a file as pages need them: kept up as several reviewers add some, and read anew where some are gone."""

import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.review.judgement import ReviewVerdict, VerdictError, VerdictHistory
from refrad.review.verdict_reader import VerdictReader
from refrad.review.verdicts import open_verdicts

BASE = ReviewVerdict(
    reviewer="AB", delivery="d", shard=0, patient="0a", image_id="i1", item="caption", item_id="c1", verdict="accept",
    digest="d1", queue="random",
)  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "review" / "verdicts.sqlite"


def read_again(path):
    with open_verdicts(path, writable=False) as store:
        return VerdictHistory(store.all()).counting()


def test_reader_sees_the_verdicts_of_other_processes(path):
    reader, other = VerdictReader(path), VerdictReader(path)
    assert reader.read().counting.standing == [] and len(reader.read().states) == 0
    other.add(BASE)
    other.add(replace(BASE, reviewer="CD", verdict="wrong_box", entity=0, queue="browse"))
    read = reader.read()
    assert [verdict.reviewer for verdict in read.by_image["i1"]] == ["AB", "CD"]
    assert [verdict.reviewer for verdict in read.counting.sample] == ["AB"]
    assert read.states.rows() == [("c1", "d1", ["accept", "wrong_box"])]


def test_unchanged_file_is_not_read_again(path):
    reader = VerdictReader(path)
    reader.add(BASE)
    assert reader.read() is reader.read()
    reader.add(replace(BASE, verdict="undo"))
    assert reader.read().by_image == {}


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "reviewer": st.sampled_from(["AB", "CD"]),
                "verdict": st.sampled_from(["accept", "reject", "wrong_box", "undo"]),
                "entity": st.sampled_from([None, 0, 1]),
                "item_id": st.sampled_from(["c1", "c2"]),
                "queue": st.sampled_from(["random", "browse"]),
            }
        ),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_verdicts_that_come_later_count_as_if_read_at_once(changes, first):
    verdicts = [replace(BASE, **change) for change in changes]
    history = VerdictHistory(verdicts[:first])
    history.counting()
    for verdict in verdicts[first:]:
        history.add(verdict)
    assert history.counting() == VerdictHistory(verdicts).counting()


def test_withdrawn_patient_is_forgotten(path):
    reader = VerdictReader(path)
    reader.add(BASE)
    reader.add(replace(BASE, patient="0b", image_id="i2", item_id="c2", digest="d2"))
    assert len(reader.read().counting.standing) == 2
    with sqlite3.connect(path) as database:
        database.execute("drop trigger verdicts_stay")
        database.execute("delete from verdicts where patient = '0a'")
    assert reader.read().counting == read_again(path) and list(reader.read().by_image) == ["i2"]


def test_damaged_file_is_found_before_the_first_page(path):
    path.parent.mkdir()
    path.write_bytes(b"no database, but as long as one" * 40)
    with pytest.raises(VerdictError, match="is damaged: put a backup"):
        VerdictReader(path)


def test_damage_while_pages_are_open_is_one_line(path):
    reader = VerdictReader(path)
    reader.add(BASE)
    reader.read()
    with sqlite3.connect(path) as database:
        database.execute("drop trigger verdicts_stay_as_they_are")
        database.execute("update verdicts set reason = 'another'")
        database.execute("insert into verdicts select 2, reviewer, time, delivery, shard, patient, image_id, item, item_id,"
                         " entity, verdict, reason, queue, digest, checksum from verdicts")  # fmt: skip
    with pytest.raises(VerdictError, match="is damaged"):
        reader.read()
