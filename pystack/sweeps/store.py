"""The file of a sweep: SQLite, with a row for each run that has finished. Each row is written when its run has finished, so a crash loses none."""

import json
import os
import sqlite3
from collections.abc import Iterator
from typing import Any

from pystack.sweeps.errors import SweepError
from pystack.sweeps.values import Task
from pystack.sweeps.work import Answer

#: "pyst"
APPLICATION = 0x70797374
VERSION = 1
_TABLES = """
CREATE TABLE sweeps (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, parameters TEXT NOT NULL, source TEXT NOT NULL);
CREATE TABLE rows (
    sweep INTEGER NOT NULL REFERENCES sweeps (id), key TEXT NOT NULL, parameters TEXT NOT NULL, seed TEXT NOT NULL,
    result TEXT, error TEXT NOT NULL, traceback TEXT NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (sweep, key)
);
"""
#: (key, parameters as JSON, seed, answer)
Stored = tuple[str, str, int, Answer]


class Store:
    """An open file. `path` None: memory only. SweepError if the file is not one of sweeps, or cannot be read."""

    def __init__(self, path: "str | os.PathLike[str] | None"):
        self.path = ":memory:" if path is None else os.fspath(path)
        try:
            # Two processes may run the same sweep. Each waits for the other's transactions, which are short.
            self.db = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
        except sqlite3.Error as error:
            raise SweepError(f"{self.path}: {error}") from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.db.close()
            raise SweepError(f"{self.path} is not a file of a sweep: {error}") from None
        except BaseException:
            self.db.close()
            raise

    def _prepare(self) -> None:
        """Make the tables of a new file, and check an old one."""
        self.db.execute("BEGIN IMMEDIATE")
        with self.db:
            application = self.db.execute("PRAGMA application_id").fetchone()[0]
            version = self.db.execute("PRAGMA user_version").fetchone()[0]
            tables = self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables == 0 and application == 0:
                for statement in _TABLES.split(";\n"):
                    self.db.execute(statement)
                self.db.execute(f"PRAGMA application_id = {APPLICATION}")
                self.db.execute(f"PRAGMA user_version = {VERSION}")
            elif application != APPLICATION:
                raise SweepError(f"{self.path} is a database of another program: name another file")
            elif version != VERSION:
                raise SweepError(
                    f"{self.path} was made by another version of pystack (format {version}, not {VERSION})"
                )

    def names(self) -> list[str]:
        """The names of the sweeps in the file."""
        return [name for (name,) in self.db.execute("SELECT name FROM sweeps ORDER BY id")]

    def begin(self, name: str, parameters: list[str], source: str, changed: bool) -> int:
        """The number of the sweep of this name, which is new or has the same parameters and source. SweepError if it has not."""
        self.db.execute("BEGIN IMMEDIATE")
        with self.db:
            found = self.db.execute("SELECT id, parameters, source FROM sweeps WHERE name = ?", (name,)).fetchone()
            if found is None:
                row = (name, json.dumps(parameters), source)
                return int(
                    self.db.execute("INSERT INTO sweeps (name, parameters, source) VALUES (?, ?, ?)", row).lastrowid
                    or 0
                )
            number, known, was = found
            if json.loads(known) != parameters:
                raise SweepError(
                    f"{self.path} has rows of {name} with the parameters {_listed(json.loads(known))}, "
                    f"and not {_listed(parameters)}: name another file, or another sweep in it (name=...)"
                )
            if was and source and was != source and not changed:
                raise SweepError(
                    f"{name} has changed since its rows in {self.path} were made: name another file, "
                    "or keep the rows nevertheless (changed=True)"
                )
            if changed:
                self.db.execute("UPDATE sweeps SET source = ? WHERE id = ?", (source, number))
            return int(number)

    def find(self, name: str) -> int:
        """The number of a sweep; without a name, of the only one. SweepError if there is no such sweep."""
        names = self.names()
        if not name and len(names) == 1:
            name = names[0]
        if name not in names:
            there = f"there are {_listed(names)}" if names else "it has none"
            raise SweepError(
                f"{self.path} has no sweep named {name!r}: {there}" if name else f"{self.path}: {there}; give a name"
            )
        return int(self.db.execute("SELECT id FROM sweeps WHERE name = ?", (name,)).fetchone()[0])

    def rows(self, sweep: int) -> Iterator[Stored]:
        """All rows of a sweep, in the order in which they finished."""
        fields = "key, parameters, seed, result, error, traceback, seconds"
        for row in self.db.execute(f"SELECT {fields} FROM rows WHERE sweep = ? ORDER BY rowid", (sweep,)):
            key, parameters, seed, result, error, traceback, seconds = row
            yield key, parameters, int(seed), Answer(seconds, result, error, traceback)

    def put(self, sweep: int, task: Task, answer: Answer) -> None:
        """Keep a row. If another process has finished it meanwhile, that row stays."""
        self.db.execute(
            "INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                sweep,
                task.key,
                task.stored,
                str(task.seed),
                answer.result,
                answer.error,
                answer.traceback,
                answer.seconds,
            ),
        )

    def forget_errors(self, sweep: int) -> None:
        """Forget the rows with an error, so that they run again."""
        self.db.execute("DELETE FROM rows WHERE sweep = ? AND error != ''", (sweep,))

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _listed(names: list[Any]) -> str:
    return ", ".join(str(name) for name in names) or "none"
