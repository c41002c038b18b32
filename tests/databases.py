"""Migrated databases for tests: emptied and lent again, for to make one costs ten times that.

What is taken back is compared with what was lent: a database in which a test changed more than rows (a policy, a right,
a setting, what the migrations wrote), or that has grown, is thrown away.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from boots_pipeline.local.postgres import DatabaseUrls

TEMPLATE = "template_boots"
_LARGEST_BYTES = 8 * 1024 * 1024  # of all tables: what was deleted stays in them, and every test after it reads past it

_TABLES = """
  select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema') and c.relpersistence <> 't'"""
_BYTES = f"select sum(pg_relation_size(name)) from ({_TABLES})"
# A row that was written anew has a higher xmin, one that went is missing. VACUUM and ANALYZE write in place.
_CATALOGUE = (
    "pg_class", "pg_attribute", "pg_attrdef", "pg_proc", "pg_policy", "pg_trigger", "pg_constraint", "pg_index",
    "pg_rewrite", "pg_type", "pg_default_acl", "pg_extension", "pg_event_trigger", "pg_cast", "pg_description",
    "pg_largeobject_metadata", "pg_publication", "pg_statistic_ext", "pg_ts_config",
    "pg_namespace where nspname !~ '^pg_'",  # of temporary tables, which come and stay
    "pg_database where datname = current_database()",
    "pg_db_role_setting where setdatabase = (select oid from pg_database where datname = current_database())",
)  # fmt: skip
_END_OTHERS = """
  select pg_terminate_backend(pid, 5000) from pg_stat_activity
   where datname = current_database() and pid <> pg_backend_pid()"""
_RESTART = (
    "select setval(seqrelid, seqstart, false) from pg_sequence where pg_sequence_last_value(seqrelid) is not null"
)


@dataclass(frozen=True)
class _Lent:
    """A database as it was made, and a connection to it: one that is new reads the catalogue for longer than all that
    is asked of it takes."""

    name: str
    owner: psycopg.Connection
    tables: tuple[str, ...]  # that are empty
    seeds: tuple[str, ...]  # that are not
    fingerprint: str


class Databases:
    """The databases of one server, which holds the template. Those that came back are kept for whoever asks next."""

    def __init__(self, socket_dir: str) -> None:
        self._socket_dir = socket_dir
        self._admin = DatabaseUrls.on_socket(socket_dir, "postgres").owner
        self._spare: list[_Lent] = []

    @contextmanager
    def lend(self) -> Iterator[DatabaseUrls]:
        """The URLs of a database that is as migrated, and that nobody else uses."""
        lent = self._spare.pop() if self._spare else self._make()
        yield DatabaseUrls.on_socket(self._socket_dir, lent.name)
        if self._is_as_new(lent):
            self._spare.append(lent)
        else:
            lent.owner.close()
            with psycopg.connect(self._admin, autocommit=True) as admin:
                admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(lent.name)))

    def close(self) -> None:
        """Leave the server: it is about to stop."""
        for lent in self._spare:
            lent.owner.close()

    def _make(self) -> _Lent:
        name = f"boots_{uuid4().hex[:12]}"
        with psycopg.connect(self._admin, autocommit=True) as admin:
            admin.execute(
                sql.SQL("create database {} template {} strategy wal_log").format(
                    sql.Identifier(name), sql.Identifier(TEMPLATE)
                )
            )
        owner = psycopg.connect(DatabaseUrls.on_socket(self._socket_dir, name).owner, autocommit=True)
        owner.execute("set session_replication_role = replica")  # to empty it: no trigger, no cascade, all of it goes
        tables = [table for (table,) in owner.execute(_TABLES)]
        seeds = tuple(table for table in tables if _one(owner, f"select exists (select from {table})"))
        return _Lent(name, owner, tuple(sorted({*tables} - {*seeds})), seeds, _fingerprint(owner, seeds))

    def _is_as_new(self, lent: _Lent) -> bool:
        """Empty it, if that makes it what it was."""
        try:
            lent.owner.execute(_END_OTHERS)
            if _fingerprint(lent.owner, lent.seeds) != lent.fingerprint or _one(lent.owner, _BYTES) > _LARGEST_BYTES:
                return False
            lent.owner.execute(";".join([*(f"delete from {table}" for table in lent.tables), _RESTART]))
        except psycopg.OperationalError:
            return False  # a test has ended our connection, too
        return True


def _fingerprint(owner: psycopg.Connection, seeds: tuple[str, ...]) -> str:
    marks = [f"(select max(xmin::text::bigint) || '/' || count(*) from {table})" for table in (*_CATALOGUE, *seeds)]
    return str(_one(owner, f"select concat_ws(' ', {', '.join(marks)})"))


def _one(owner: psycopg.Connection, query: str) -> Any:
    row = owner.execute(query).fetchone()
    assert row is not None
    return row[0]
