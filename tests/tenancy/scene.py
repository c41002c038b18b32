"""The scene of every tenancy test: two organisations with rows in every table there is, generated from the catalogue.

Each organisation has one row a table, and every uuid in it but the organisation's is the same: so all that refers to
something refers to the row beside it, and a table that is new tomorrow is filled without a word here.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

Connection = psycopg.Connection[Any]

# What a column holds where its type does not say it, because a constraint or a policy has an opinion.
_VALUES: dict[str, Any] = {
    "id": "{row}",
    "provider": "hubspot",
    "kind": "full",
    "purpose": "access",
    "rhythm": "delta",
    "job_type": "proposal",
    "proposals.status": "queued",
    "jobs.status": "completed",
    "embedding_models.active": "model",
    "source_documents.embedding_model": "model",
    "source_documents.embedding": "[1, 0]",
    "source_documents.content": "{text}",
    "client_intelligence.embedding_model": "model",
    "client_intelligence.embedding": "[1, 0]",
    "source_attribution.client_intelligence_id": "{row}",
    "connected_by": "{user}",
    "created_by": "{user}",
    "message": "{message}",
}
_BY_TYPE: dict[str, Any] = {
    "uuid": "{row}",
    "text": "{text}",
    "varchar": "{text}",
    "bytea": "{bytes}",
    "timestamptz": datetime(2100, 1, 1, tzinfo=UTC),
    "jsonb": "{message}",
    "int4": 1,
    "int8": "{number}",
    "bool": False,
}


@dataclass(frozen=True)
class Tenant:
    """An organisation of the scene. `row` is the uuid that its rows share."""

    id: UUID
    slug: str
    admin: UUID
    member: UUID
    row: UUID

    @classmethod
    def named(cls, slug: str) -> "Tenant":
        return cls(*(uuid5(NAMESPACE_URL, slug), slug), *(uuid5(NAMESPACE_URL, f"{slug} {who}") for who in _WHO))


# Of these the second connection has a row, too.
_OF_A_CONNECTION = ("public.ingestion_jobs", "public.quarantined_items", "public.sync_streams")
_WHO = ("admin", "member", "row")
A = Tenant.named("harbour")
B = Tenant.named("meridian")
REMOVED = uuid5(NAMESPACE_URL, "a member of harbour until yesterday")


@dataclass(frozen=True)
class Table:
    """A table or view of the catalogue. `tenant` is the expression that says whose a row is; None: nobody's."""

    name: str
    kind: str
    columns: tuple[str, ...] = field(repr=False)
    tenant: str | None
    needed: dict[str, str] = field(repr=False)

    def sample(self, tenant: Tenant, user: UUID) -> dict[str, Any]:
        """A row of this table as the user would write it for the organisation."""
        bare = self.name.partition(".")[2]
        meant = {
            "{row}": tenant.row,
            "{user}": user,
            "{text}": f"of {tenant.slug}",
            "{bytes}": tenant.row.bytes,
            "{number}": tenant.row.int % 1_000_000,
            "{message}": Jsonb({"org_id": str(tenant.id)}),
        }
        row: dict[str, Any] = {}
        for column, type_name in self.needed.items():
            value = _VALUES.get(f"{bare}.{column}", _VALUES.get(column, _BY_TYPE.get(type_name)))
            assert value is not None, f"say in tests/tenancy/scene.py what {self.name}.{column} ({type_name}) may hold"
            row[column] = meant.get(value, value) if isinstance(value, str) else value
        if self.tenant in row:
            row[self.tenant] = tenant.id
        if bare == "organizations":
            row["slug"] = tenant.slug
        return row


_TABLES = """
select format('%s.%s', n.nspname, c.relname) as name, c.relkind as kind,
       array_agg(a.attname::text order by a.attnum) as columns,
       jsonb_object_agg(a.attname, t.typname) filter (
         where a.attgenerated = '' and a.attidentity = ''
           and ((a.attnotnull and not a.atthasdef)
                or a.attname = any(%s) or format('%s.%s', c.relname, a.attname) = any(%s))) as needed
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid
 where c.relkind in ('r', 'p', 'v', 'm', 'f')
   and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'extensions')
 group by n.nspname, c.relname, c.relkind
 order by 1
"""


def read_tables(connection: Connection) -> list[Table]:
    """Every table and view that is not Postgres's or an extension's own."""
    special = list(_VALUES)
    rows = connection.execute(_TABLES.replace("'%s.%s'", "'%%s.%%s'"), [special, special]).fetchall()
    return [_table(row["name"], row["kind"], row["columns"], row["needed"] or {}) for row in rows]


def _table(name: str, kind: str, columns: list[str], needed: dict[str, str]) -> Table:
    tenant = "org_id" if "org_id" in columns else None
    if name == "public.organizations":
        tenant, needed = "id", needed | {"id": "uuid"}
    elif name.startswith(("pgmq.q_", "pgmq.a_")):
        tenant = "(message ->> 'org_id')::uuid"
    return Table(name, kind, tuple(columns), tenant, needed)


def insertion(table: Table, row: dict[str, Any], then: str = "") -> sql.Composed:
    """The statement that inserts a row, to be executed with it."""
    return sql.SQL("insert into {} ({}) values ({}) " + then).format(
        sql.SQL(table.name),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )


def populate(owner: Connection) -> None:
    """Set the scene in an empty, migrated database. Foreign keys are checked at the end, once for all."""
    tables = read_tables(owner)
    with owner.transaction():
        owner.execute("set local session_replication_role = replica")
        for tenant in (A, B):
            for table in tables:
                if table.kind in "rp" and not table.name.startswith("supabase_migrations."):
                    row = table.sample(tenant, tenant.member)
                    owner.execute(insertion(table, row), row)
            for user, role in ((tenant.admin, "admin"), (tenant.member, "member")):
                owner.execute("insert into organization_members values (%s, %s, %s)", [tenant.id, user, role])
                owner.execute(
                    "insert into auth.users (id, email) values (%s, %s)", [user, f"{role}@{tenant.slug}.example"]
                )
            # One of two documents was deleted at its source: the dispatcher may see that one. It came by another
            # connection: who forgets what the first has brought may not touch it.
            deleted = uuid5(tenant.row, "deleted")
            owner.execute(
                "insert into connected_sources (org_id, id, provider) values (%s, %s, 'elsewhere')",
                [tenant.id, deleted],
            )
            owner.execute(
                """insert into source_documents (org_id, id, source_id, provider, document_type, external_id,
                                                 content_hash, payload_hash, deleted_at)
                   values (%s, %s, %s, 'elsewhere', 'deals', 'deleted', '', '', now())""",
                [tenant.id, deleted, deleted],
            )
            owner.execute("insert into source_document_passages values (%s, %s, 1, '')", [tenant.id, deleted])
            for table in tables:
                if table.name in _OF_A_CONNECTION:
                    row = table.sample(tenant, tenant.member) | {"source_id": deleted}
                    row |= {"id": deleted} if "id" in row else {}
                    owner.execute(insertion(table, row), row)
        owner.execute("insert into auth.users (id, email) values (%s, 'removed@harbour.example')", [REMOVED])
    _check_references(owner)


def _check_references(owner: Connection) -> None:
    """Raise where a row of the scene refers to none: Postgres looks when a key is made."""
    keys = owner.execute(
        """select conrelid::regclass::text as child, quote_ident(conname) as name, pg_get_constraintdef(oid) as made
             from pg_constraint
            where contype = 'f' and connamespace in ('public'::regnamespace, 'private'::regnamespace)"""
    ).fetchall()
    with owner.transaction(force_rollback=True):
        for key in keys:
            owner.execute("alter table {child} drop constraint {name}, add constraint {name} {made}".format_map(key))


def whose(connection: Connection, table: Table) -> Counter[UUID | None]:
    """How many rows of a table are whose."""
    tenant = table.tenant or "null::uuid"
    rows = connection.execute(f"select {tenant} as whose from {table.name}").fetchall()
    return Counter(row["whose"] for row in rows)
