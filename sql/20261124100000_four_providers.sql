-- What four providers need beside one: versions that a listing tells, rate limits that all processes share, and an end
-- for what was deleted there.

alter table public.source_documents add column version text;
comment on column public.source_documents.version is
  'As the listing told it when the body was read: where it is still the same, the body is not read again';

-- One row per OAuth app, account and limit (hashed: whose it is is nobody else's business). `spent_until` is the
-- theoretical arrival time of the generic cell rate algorithm: up to then the account has been spent.
create table private.rate_budgets (
  key bytea primary key,
  spent_until timestamptz not null
);
create index rate_budgets_spent on private.rate_budgets (spent_until);
revoke all on private.rate_budgets from public;
grant select, insert, update, delete on private.rate_budgets to boots_dispatch;
grant create on schema private to boots_dispatch;

-- Charge a call to a budget of p_units in p_seconds. Returns the seconds to wait before it may go: 0 for at once; more
-- than p_longest_wait when nothing was charged, because the caller will not wait that long.
create function private.spend_budget(
  p_key bytea, p_cost double precision, p_units double precision, p_seconds double precision,
  p_longest_wait double precision
) returns double precision language plpgsql volatile security definer set search_path = '' as $$
declare
  v_now timestamptz := clock_timestamp();
  v_until timestamptz;
  v_wait double precision;
begin
  insert into private.rate_budgets values (p_key, v_now) on conflict do nothing;
  select greatest(spent_until, v_now) into v_until from private.rate_budgets where key = p_key for update;
  v_now := clock_timestamp();
  v_until := greatest(v_until, v_now) + make_interval(secs => p_cost * p_seconds / p_units);
  v_wait := greatest(0, extract(epoch from v_until - v_now) - p_seconds);
  if v_wait <= p_longest_wait then
    update private.rate_budgets set spent_until = v_until where key = p_key;
  end if;
  return v_wait;
end
$$;

-- The provider says that the account is overdrawn: nothing goes for so many seconds, then calls go one by one.
create function private.hold_budget(p_key bytea, p_window double precision, p_seconds double precision) returns void
language sql volatile security definer set search_path = '' as $$
  insert into private.rate_budgets as b values (p_key, clock_timestamp() + make_interval(secs => p_window + p_seconds))
  on conflict (key) do update set spent_until = greatest(b.spent_until, excluded.spent_until)
$$;

-- The dispatcher sees documents only once they are tombstoned.
create policy dispatch on public.source_documents to boots_dispatch
  using (deleted_at is not null) with check (deleted_at is not null);
create policy dispatch on public.source_document_passages to boots_dispatch
  using (exists (select from public.source_documents d
                  where d.org_id = source_document_passages.org_id and d.id = document_id));
grant select (org_id, id, deleted_at, raw_payload),
      update (raw_payload, content, embedding, embedding_model, facts, passage_count)
  on public.source_documents to boots_dispatch;
grant select, delete on public.source_document_passages to boots_dispatch;
create index source_documents_deleted on public.source_documents (deleted_at)
  where deleted_at is not null and raw_payload is not null;

-- Drop what documents said that were tombstoned so many days ago; returns how many. Their rows stay: proposals name
-- them.
create function private.drop_deleted_content(p_days int, p_limit int) returns int
language sql volatile security definer set search_path = '' as $$
  with due as (
    select org_id, id from public.source_documents
     where deleted_at < clock_timestamp() - make_interval(days => p_days) and raw_payload is not null
     order by deleted_at limit p_limit for update skip locked
  ), passages as (
    delete from public.source_document_passages p using due where p.org_id = due.org_id and p.document_id = due.id
  ), dropped as (
    update public.source_documents d
       set raw_payload = null, content = '', embedding = null, embedding_model = null, facts = '[]', passage_count = 1
      from due where d.org_id = due.org_id and d.id = due.id
    returning d.id
  )
  select count(*)::int from dropped
$$;

do $$
declare
  made text;
begin
  foreach made in array array[
    'spend_budget(bytea, double precision, double precision, double precision, double precision)',
    'hold_budget(bytea, double precision, double precision)',
    'drop_deleted_content(int, int)'
  ] loop
    execute format('alter function private.%s owner to boots_dispatch', made);
    execute format('revoke all on function private.%s from public', made);
    execute format('grant execute on function private.%s to boots_worker', made);
  end loop;
end
$$;
revoke create on schema private from boots_dispatch;
