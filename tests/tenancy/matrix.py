"""Asking: what each caller reaches of each object, found out by doing it, each attempt undone."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from tests.tenancy.scene import REMOVED, A, B, Connection, Table, Tenant, insertion, whose


@dataclass(frozen=True)
class Caller:
    """Somebody with a role, perhaps a user's claims, perhaps an organisation that he names."""

    role: str
    user: UUID | None = None
    org_id: UUID | None = None
    home: Tenant = A
    before: str = ""  # what had happened in the database when he came


_GENERATED = {"msg_id", "search_text", "proposal_id"}  # what Postgres makes itself cannot be set

_A_IS_BEING_FORGOTTEN = f"""
update public.connected_sources set status = 'revoked', forgetting_since = now() where id = '{A.row}';
-- The other one was forgotten long ago.
update public.connected_sources set forgotten_at = now() where org_id = '{A.id}' and id <> '{A.row}'
"""

# In the order of the columns of verdicts.py, which says who they are.
CALLERS = {
    "anon": Caller("anon"),
    "A": Caller("authenticated", A.member),
    "B": Caller("authenticated", B.member, home=B),
    "gone": Caller("authenticated", REMOVED),
    "worker": Caller("boots_worker", org_id=A.id),
    "pages": Caller("boots_web", A.admin, A.id),
    "forger": Caller("boots_web", A.admin, B.id),
    "disp": Caller("boots_dispatch"),
    "audit": Caller("boots_audit"),
    "forget": Caller("boots_forget", before=_A_IS_BEING_FORGOTTEN),
    "owner": Caller("tenancy_owner"),
}


@contextmanager
def undone(connection: Connection) -> Iterator[None]:
    """Whatever happens in the block did not happen."""
    with connection.transaction(force_rollback=True):
        yield


@contextmanager
def acting_as(connection: Connection, caller: Caller) -> Iterator[None]:
    """The session is the caller's, until the block ends."""
    with undone(connection):
        if caller.before:
            connection.execute(caller.before)
        claims = json.dumps({"sub": str(caller.user), "role": caller.role}) if caller.user else ""
        connection.execute(
            "select set_config('request.jwt.claims', %s, true), set_config('app.org_id', %s, true)",
            [claims, str(caller.org_id or "")],
        )
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(caller.role)))
        yield


def table_line(connection: Connection, table: Table) -> dict[str, str]:
    """What each caller may do with a table: four signs, as verdicts.py explains them. A superuser's connection asks."""
    held = whose(connection, table)
    line = {}
    with undone(connection):
        # Rows are tried one table at a time: what a row refers to is not the question here.
        connection.execute("set local session_replication_role = replica")
        for name, caller in CALLERS.items():
            with undone(connection):
                if caller.role == "tenancy_owner":
                    _hand_over(connection, table)
                line[name] = "".join(_signs(connection, table, caller, held))
    return line


def _hand_over(connection: Connection, table: Table) -> None:
    """An owner as on a server where we are no superuser."""
    connection.execute("create role tenancy_owner nologin")
    schema, _, _ = table.name.partition(".")
    connection.execute(f"grant usage, create on schema {schema} to tenancy_owner")
    connection.execute(f"alter {_KINDS[table.kind]} {table.name} owner to tenancy_owner")


_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}


@dataclass(frozen=True)
class _Granted:
    """The columns that a caller was granted, and all of them."""

    every: tuple[str, ...]
    select: list[str]
    insert: list[str]
    update: list[str]


def _granted(connection: Connection, table: Table, caller: Caller) -> _Granted:
    row = connection.execute(
        """select array_agg(name) filter (where has_column_privilege(%(role)s, %(table)s, name, 'select')) as select,
                  array_agg(name) filter (where has_column_privilege(%(role)s, %(table)s, name, 'insert')) as insert,
                  array_agg(name) filter (where has_column_privilege(%(role)s, %(table)s, name, 'update')) as update
             from unnest(%(columns)s::text[]) as name""",
        {"role": caller.role, "table": table.name, "columns": list(table.columns)},
    ).fetchone()
    return _Granted(table.columns, **{privilege: columns or [] for privilege, columns in row.items()})


def _signs(connection: Connection, table: Table, caller: Caller, held: Counter[UUID | None]) -> Iterator[str]:
    granted = _granted(connection, table, caller)
    whose_row = f"{table.tenant or 'null::uuid'} as whose"
    # Who may not read whose a row is could still write it, blindly.
    returning = f" returning {whose_row}" if granted.select else ""
    settable = [column for column in granted.update or granted.every if column not in _GENERATED]
    column = next((each for each in settable if each in granted.select), settable[0])
    value = column if column in granted.select else "default"
    yield _sign("S", _reach(connection, caller, f"select {whose_row} from {table.name}"), held, caller)
    yield _insert_sign(connection, table, caller, granted, returning)
    reached = _reach(connection, caller, f"update {table.name} set {column} = {value}{returning}")
    yield "!" if _can_move(connection, table, caller, reached, held) else _sign("U", reached, held, caller)
    yield _sign("D", _reach(connection, caller, f"delete from {table.name}{returning}"), held, caller)


def _reach(connection: Connection, caller: Caller, statement: str) -> Counter[UUID | None] | str:
    """Whose rows a statement reached, or how it was refused."""
    try:
        with acting_as(connection, caller):
            cursor = connection.execute(statement)
            reached = Counter(row["whose"] for row in cursor.fetchall()) if cursor.description else Counter()
        if not statement.startswith("select"):
            # With nothing returned no policy for reading has a say: it must reach no more.
            with acting_as(connection, caller):
                blind = connection.execute(statement.partition(" returning ")[0]).rowcount
            return reached if blind == reached.total() else "!"
        return reached
    except psycopg.Error as error:
        return _refusal(error)


def _refusal(error: psycopg.Error) -> str:
    """`.`: no grant. `0`: a policy. `!`: something that was not foreseen."""
    if not isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "!"
    return "0" if "row-level security" in str(error) else "."


def _sign(letter: str, reached: Counter[UUID | None] | str, held: Counter[UUID | None], caller: Caller) -> str:
    if isinstance(reached, str):
        return reached
    if not reached:
        return "0"
    if reached == held:
        return "*"
    if reached == Counter({caller.home.id: held[caller.home.id]}):
        return letter
    if set(reached) == {caller.home.id}:
        return letter.lower()
    return "+" if set(reached) >= {A.id, B.id} else "!"


def _insert_sign(connection: Connection, table: Table, caller: Caller, granted: _Granted, returning: str) -> str:
    outcomes = {}
    for tenant in (A, B):
        row = table.sample(tenant, caller.user or tenant.member)
        given = {column: value for column, value in row.items() if column in (granted.insert or granted.every)}
        with undone(connection):
            connection.execute(f"delete from {table.name}") if table.kind in "rp" else None
            try:
                with acting_as(connection, caller):
                    # What is returned must be visible, too; a stranger's row would only have to go in.
                    then = returning if tenant is caller.home else ""
                    connection.execute(insertion(table, given, then), given)
                    outcomes[tenant] = "I"
            except psycopg.Error as error:
                outcomes[tenant] = _refusal(error)
    own, foreign = outcomes[caller.home], outcomes[B if caller.home is A else A]
    if own == foreign:
        return "*" if own == "I" else own
    return "I" if (own, foreign) == ("I", "0") else "!"


def _can_move(
    connection: Connection,
    table: Table,
    caller: Caller,
    reached: Counter[UUID | None] | str,
    held: Counter[UUID | None],
) -> bool:
    """Whether a caller who is bound to an organisation can give a row of it to another one."""
    if table.tenant not in table.columns or isinstance(reached, str) or not reached or reached == held:
        return False
    try:
        with acting_as(connection, caller):
            connection.execute(f"update {table.name} set {table.tenant} = %s", [uuid4()])
    except psycopg.errors.InsufficientPrivilege:
        return False
    except psycopg.Error:
        return True
    return True


@dataclass(frozen=True)
class Function:
    """A function of the catalogue, with a call that gives it nothing."""

    name: str
    call: str


def read_functions(connection: Connection) -> list[Function]:
    """Every function that is not Postgres's or an extension's own, by name; pgmq's are one line."""
    rows = connection.execute(
        """select format('%s.%s', n.nspname, p.proname) as name, p.oid::regprocedure::text as signature,
                  format('select * from %I.%I(%s)', n.nspname, p.proname,
                         (select string_agg(format('null::%s', format_type(type, null)), ', ' order by place)
                            from unnest(p.proargtypes) with ordinality as arguments (type, place))) as call
             from pg_proc p join pg_namespace n on n.oid = p.pronamespace
            where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'extensions') and p.prokind = 'f'
              and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
            order by 1, 2"""
    ).fetchall()
    return [Function(row["name"], row["call"]) for row in rows]


def function_line(connection: Connection, function: Function) -> dict[str, str]:
    """Who may call a function: `x` who may, `.` who is refused before it begins."""
    line = {}
    for name, caller in CALLERS.items():
        if caller.role == "tenancy_owner":
            continue
        line[name] = "x"
        try:
            with acting_as(connection, caller):
                connection.execute("set local statement_timeout = '100ms'")  # to be called is enough
                connection.execute(function.call)
        except psycopg.errors.InsufficientPrivilege as error:
            if str(error).startswith(("permission denied for function", "permission denied for schema")):
                line[name] = "."
        except psycopg.Error:
            pass
    return line


def as_text(name: str, line: dict[str, str]) -> str:
    """A line as verdicts.py writes it."""
    return f"{name:<38}" + "".join(f"{signs:<7}" for signs in line.values()).rstrip()


def parse(text: str) -> dict[str, dict[str, str]]:
    """The lines of a table of verdicts."""
    header, *lines = (line.split() for line in text.strip().splitlines() if line.strip())
    assert list(CALLERS)[: len(header)] == header
    return {line[0]: dict(zip(header, line[1:], strict=True)) for line in lines}
