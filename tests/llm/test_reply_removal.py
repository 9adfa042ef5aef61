"""Replies about a patient leave all databases and files of the store, byte by byte."""

import gzip
import json
import sqlite3

import pytest

from refrad.llm.reply_removal import find_replies, remove_replies
from refrad.llm.store import Store, Usage

COST = Usage(1, 1, 0.1)
WORD = "Zufallsbefund"


def key(number):
    return f"{number:032x}"


def nobody_has(text):  # noqa: ARG001
    return False


def store_of(folder, monkeypatch, machine="alpha"):
    monkeypatch.setattr("platform.node", lambda: machine)
    return Store(folder)


def put(store, number, *subjects, text=WORD):
    for subject in subjects:
        store.note(key(number), subject)
    store.put(key(number), "rewrite", "m", json.dumps({"sentence": f"{text} {number}"}), None, COST)


def remaining(folder):
    """All bytes of a store, packed files unpacked."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(
        path.read_bytes() + (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else b"") for path in paths
    )


def test_replies_of_a_patient_leave_no_byte(tmp_path, monkeypatch):
    store = store_of(tmp_path, monkeypatch)
    for number in range(200):
        put(
            store,
            number,
            "patient-one" if number % 2 else "patient-two",
            text=f"{WORD} {'eins' if number % 2 else 'zwei'}",
        )
    store.close()
    found = find_replies(tmp_path, {"patient-one"}, nobody_has)
    assert found.own == {key(number) for number in range(1, 200, 2)}
    assert not found.shared and not found.nobodys
    remove_replies(tmp_path, found.own, {"patient-one"})
    left = remaining(tmp_path)
    assert f"{WORD} eins".encode() not in left and b"patient-one" not in left
    assert left.count(f"{WORD} zwei".encode()) >= 200  # in the database and in the file for other machines
    again = store_of(tmp_path, monkeypatch)
    assert again.answer(key(0)) and again.answer(key(1)) is None
    again.close()


def test_reply_that_others_have_stays(tmp_path, monkeypatch):
    store = store_of(tmp_path, monkeypatch)
    put(store, 1, "patient-one", "patient-two")
    put(store, 2, "patient-one")
    store.close()
    found = find_replies(tmp_path, {"patient-one"}, nobody_has)
    assert (found.own, found.shared) == ({key(2)}, {key(1)})
    remove_replies(tmp_path, found.own, {"patient-one"})
    assert b"patient-one" not in remaining(tmp_path)
    # the other patient withdraws too
    assert find_replies(tmp_path, {"patient-two"}, nobody_has).own == {key(1)}


def test_replies_of_other_machines_are_removed(tmp_path, monkeypatch):
    for machine in ("alpha", "beta"):  # beta takes in what alpha has handed out
        store = store_of(tmp_path, monkeypatch, machine)
        put(store, {"alpha": 1, "beta": 2}[machine], "patient-one")
        store.close()
    alpha = store_of(tmp_path, monkeypatch, "alpha")
    assert alpha.answer(key(2))
    alpha.close()
    found = find_replies(tmp_path, {"patient-one"}, nobody_has)
    remove_replies(tmp_path, found.own, {"patient-one"})
    assert WORD.encode() not in remaining(tmp_path)


def test_replies_of_an_earlier_release_go_by_their_text(tmp_path, monkeypatch):
    store = store_of(tmp_path, monkeypatch)
    put(store, 1, text=f"{WORD} eins")
    put(store, 2, text=f"{WORD} zwei")
    store.close()
    (path,) = tmp_path.glob("*.sqlite")
    with sqlite3.connect(path) as database:
        database.execute("drop table asked")
    found = find_replies(tmp_path, {"patient-one"}, lambda text: f"{WORD} eins" in text)
    assert (found.own, found.nobodys) == ({key(1)}, {key(2)})


def test_damaged_files_are_removed_as_a_whole(tmp_path, monkeypatch):
    store = store_of(tmp_path, monkeypatch)
    put(store, 1, "patient-two")
    store.close()
    (handed,) = (tmp_path / "answers").iterdir()
    handed.write_bytes(handed.read_bytes()[:-9])
    (tmp_path / "replies-alpha.sqlite.damaged").write_text(WORD)
    (tmp_path / "answers" / "x.json.gz.damaged").write_text(WORD)
    remove_replies(tmp_path, [], ["patient-one"])
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "replies-alpha.claims",
        "replies-alpha.sqlite",
    ]


def test_unreadable_database_is_named(tmp_path):
    (tmp_path / "replies-x.sqlite").write_bytes(b"no database" * 99)
    with pytest.raises(ValueError, match=r"replies-x\.sqlite cannot be read"):
        find_replies(tmp_path, {"patient-one"}, nobody_has)


def test_store_that_does_not_exist_has_no_replies(tmp_path):
    assert not find_replies(tmp_path / "llm", {"patient-one"}, nobody_has).own
    remove_replies(tmp_path / "llm", [], [])
