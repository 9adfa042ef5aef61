"""Removal of rows from SQLite databases of the private folder, such as verdicts of reviewers; their bytes leave the file."""

import sqlite3
from contextlib import closing
from pathlib import Path

from refrad.llm.salvage import ERRORS
from refrad.withdrawal.subject import KINDS, Subject

__all__ = ["find_databases", "remove_rows_of_database"]

COLUMNS = {**KINDS, "study": "study"}


def find_databases(private: Path) -> list[Path]:
    """The databases of the private folder."""
    return sorted(private.rglob("[!.]*.sqlite"))


def remove_rows_of_database(path: Path, subject: Subject, dry_run: bool = False) -> int:
    """Remove the rows that a pseudonym column ties to the patient, and return how many there are.

    Triggers that keep rows from being deleted are put back afterwards.

    Raises:
        ValueError: if the database cannot be read.
    """
    removed = 0
    try:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as database:
            rows = {table: _rows_of(database, table, subject) for table in _tables(database)}
            removed = sum(map(len, rows.values()))
            if dry_run or not removed:
                return removed
            database.execute("pragma secure_delete = on")
            database.execute("begin immediate")
            triggers = database.execute("select name, sql from sqlite_master where type = 'trigger'").fetchall()
            for name, _ in triggers:
                database.execute(f'drop trigger "{name}"')
            for table, keys in rows.items():
                database.executemany(f'delete from "{table}" where rowid = ?', [(key,) for key in keys])
            for _, statement in triggers:
                database.execute(statement)
            database.execute("commit")
            database.execute("vacuum")
            database.execute("pragma wal_checkpoint(truncate)")
    except ERRORS as error:
        raise ValueError(f"{path} cannot be read ({error}): close what uses it, and start again") from None
    return removed


def _tables(database: sqlite3.Connection) -> list[str]:
    rows = database.execute(
        "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
    ).fetchall()
    return [name for (name,) in rows]


def _rows_of(database: sqlite3.Connection, table: str, subject: Subject) -> set[int]:
    """The numbers of the rows of a table in which a column of pseudonyms holds one of the subject's."""
    columns = [row[1] for row in database.execute(f'pragma table_info("{table}")').fetchall() if row[1] in COLUMNS]
    return {
        key
        for column in columns
        for key, value in database.execute(f'select rowid, "{column}" from "{table}"')
        if value in subject.of(COLUMNS[column])
    }
