"""What Supabase's advisor (splinter) would find, and a few rules of our own, as queries of the catalogue.

Each is shown a hole as well, or it might be blind: what is planted must be found.
"""

from dataclasses import dataclass

import pytest

from tests.tenancy.matrix import undone
from tests.tenancy.scene import Connection

# Unique keys without the organisation tell whether another's row exists. These may do without, because:
_KEYS_OF_ALL = {
    "client_intelligence_pkey": "the portal's; random, and chosen by no member",
    "org_brain_pkey": "the portal's; random, and chosen by no member",
    "proposals_pkey": "the portal's; random, and chosen by no member",
    "jobs_pkey": "the portal's; random, and chosen by no member",
    "private.oauth_states_pkey": "the hash of 48 random bytes",
    "private.web_sessions_pkey": "the hash of 32 random bytes",
}
_OURS = "('public'::regnamespace, 'private'::regnamespace)"


@dataclass(frozen=True)
class Lint:
    """A query of `what`, each an offence, and a hole that it must find."""

    query: str
    hole: str


LINTS = {
    "0001 unindexed foreign keys": Lint(
        f"""select conname as what from pg_constraint c where contype = 'f' and connamespace in {_OURS} and not exists (
              select from pg_index i where i.indrelid = c.conrelid and i.indpred is null
                 and (i.indkey::int2[])[0:array_length(c.conkey, 1) - 1] @> c.conkey)""",
        "create table public.hole (org_id uuid references organizations)",
    ),
    "0003 a function called for each row": Lint(
        r"""select format('%s on %s', policyname, tablename) as what from pg_policies
             where concat(qual, ' ', with_check) ~ '(?<!SELECT )\m(auth\.|private\.|current_setting\()'""",
        "create policy hole on jobs for delete to authenticated using (org_id = auth.uid())",
    ),
    "0004 no primary key": Lint(
        f"""select oid::regclass::text as what from pg_class c where relkind in ('r', 'p') and relnamespace in {_OURS}
               and not exists (select from pg_index i where i.indrelid = c.oid and indisprimary)""",
        "create table public.hole (org_id uuid)",
    ),
    "0006 two policies for one role and command": Lint(
        """select format('%s for %s on %s', role, command, tablename) as what
             from pg_policies, unnest(roles) as role,
                  unnest(case cmd when 'ALL' then array['SELECT', 'INSERT', 'UPDATE', 'DELETE'] else array[cmd] end)
                    as command
            where permissive = 'PERMISSIVE' group by schemaname, tablename, role, command having count(*) > 1""",
        "create policy hole on jobs for select to authenticated using (false)",
    ),
    "0007 a policy where row security is off": Lint(
        """select polrelid::regclass::text as what from pg_policy join pg_class c on c.oid = polrelid
            where not relrowsecurity""",
        "alter table jobs disable row level security",
    ),
    "0008 row security without a policy": Lint(
        """select oid::regclass::text as what from pg_class c
            where relrowsecurity and not exists (select from pg_policy where polrelid = c.oid)""",
        "create table public.hole (); alter table public.hole enable row level security",
    ),
    "0009 the same index twice": Lint(
        f"""select min(indexrelid::regclass::text) as what from pg_index join pg_class c on c.oid = indexrelid
             where relnamespace in {_OURS}
             group by indrelid, indkey, indclass, indisunique, pg_get_expr(indpred, indrelid),
                      pg_get_expr(indexprs, indrelid), indoption, relam having count(*) > 1""",
        "create index hole on jobs (org_id)",
    ),
    "0010 a view above the policies": Lint(
        f"""select oid::regclass::text as what from pg_class where relkind = 'v' and relnamespace in {_OURS}
               and not coalesce(reloptions::text[] && array['security_invoker=true', 'security_invoker=on'], false)""",
        "create view public.hole as select * from jobs",
    ),
    "0011 a function with the caller's search path": Lint(
        f"""select oid::regprocedure::text as what from pg_proc where pronamespace in {_OURS}
               and not coalesce(proconfig @> array['search_path=""'], false)""",
        "create function public.hole() returns int language sql set search_path = public as 'select 1'",
    ),
    "0013 a table of the API without forced row security": Lint(
        """select oid::regclass::text as what from pg_class where relkind in ('r', 'p')
              and relnamespace = 'public'::regnamespace and not (relrowsecurity and relforcerowsecurity)""",
        "alter table jobs no force row level security",
    ),
    "0015 a policy that believes user_metadata": Lint(
        "select policyname as what from pg_policies where concat(qual, with_check) ~ 'user_metadata|app_metadata'",
        """create policy hole on jobs for delete to authenticated
             using (org_id::text = (select auth.jwt() -> 'user_metadata' ->> 'org_id'))""",
    ),
    "0016 and 0017 what no policy covers": Lint(
        f"""select oid::regclass::text as what from pg_class where relkind in ('m', 'f')
               and (relnamespace in {_OURS} or has_table_privilege('authenticated', oid, 'select'))""",
        "create materialized view public.hole as select * from jobs",
    ),
    "0019 a queue without row security": Lint(
        """select oid::regclass::text as what from pg_class where relnamespace = 'pgmq'::regnamespace
              and relname ~ '^[qa]_' and relkind in ('r', 'p') and not relrowsecurity""",
        "alter table pgmq.q_ingestion_queue disable row level security",
    ),
    "0024 a policy that lets everybody": Lint(
        """select policyname as what from pg_policies
            where roles && array['public', 'anon', 'authenticated']::name[] and 'true' in (qual, with_check)""",
        "create policy hole on jobs for delete to public using (true)",
    ),
    "0028 a function above the policies in the API": Lint(
        "select oid::regprocedure::text as what from pg_proc where prosecdef and pronamespace = 'public'::regnamespace",
        "alter function public.claim_next_job security definer",
    ),
    "a function above the policies that everybody may call": Lint(
        """select p.oid::regprocedure::text as what
             from pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner)))
            where prosecdef and pronamespace = 'private'::regnamespace
              and grantee in (0, 'anon'::regrole)""",
        "grant execute on function private.is_org_admin to public",
    ),
    "a unique key of a tenant without the organisation": Lint(
        f"""select i.indexrelid::regclass::text as what from pg_index i join pg_attribute a on a.attrelid = i.indrelid
              join pg_class c on c.oid = i.indrelid
             where i.indisunique and a.attname = 'org_id'
               and c.relnamespace in {_OURS} and a.attnum <> all (i.indkey)
               and i.indexrelid::regclass::text <> all ('{{{",".join(_KEYS_OF_ALL)}}}'::text[])""",
        "alter table source_attribution add unique (id)",
    ),
    "a reference of a tenant without the organisation": Lint(
        f"""select conname as what from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid
             where contype = 'f' and a.attname = 'org_id' and connamespace in {_OURS} and a.attnum <> all (c.conkey)""",
        "alter table jobs add foreign key (proposal_id) references proposals (id)",
    ),
}  # fmt: skip


def offences(connection: Connection, name: str) -> list[str]:
    """What a lint finds."""
    return [row["what"] for row in connection.execute(LINTS[name].query).fetchall()]


@pytest.mark.parametrize("name", LINTS)
def test_a_lint_finds_nothing_but_what_is_planted(superuser: Connection, name: str) -> None:
    assert offences(superuser, name) == []
    with undone(superuser):
        superuser.execute(LINTS[name].hole)
        assert offences(superuser, name) != []


def test_the_keys_that_do_without_the_organisation_are_chosen_by_no_member(superuser: Connection) -> None:
    keys = superuser.execute(
        """select indexrelid::regclass::text as name,
                  bool_or(has_column_privilege('authenticated', indrelid, attnum, 'insert, update')) as chosen
             from pg_index, unnest(indkey) as attnum where indexrelid::regclass::text = any(%s) group by 1""",
        [list(_KEYS_OF_ALL)],
    ).fetchall()
    assert {key["name"]: key["chosen"] for key in keys} == dict.fromkeys(_KEYS_OF_ALL, False)
