-- Connecting and disconnecting, for boots_web alone. What an admin does is checked against the members table for the user
-- whose claims the transaction carries: a JWT says who somebody was, the table says who they are. Two functions answer to
-- the one-time state instead, which only the browser that began has: consume_oauth_state and fail_connection run when
-- whoever came back may be nobody, somebody else, or no admin any more. account_is_connected answers for all organisations,
-- and with no more than a yes or no.

create table private.oauth_states (
  state_hash bytea primary key,
  org_id uuid not null,
  source_id uuid not null,
  user_id uuid not null,
  provider text not null,
  browser_hash bytea not null,
  verifier bytea not null,             -- sealed by the vault
  issuer text not null,
  redirect_uri text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  consumed_at timestamptz,
  foreign key (org_id, source_id) references public.connected_sources (org_id, id) on delete cascade
);
create index oauth_states_user on private.oauth_states (user_id, expires_at);
alter table private.oauth_states enable row level security;
alter table private.oauth_states force row level security;
grant select, insert, update, delete on private.oauth_states to boots_dispatch;
create policy dispatch on private.oauth_states to boots_dispatch using (true) with check (true);

-- Start a connection: the row that it will fill (an existing one is reused and keeps its state) and a one-time state.
create function private.begin_connection(
  p_org_id uuid, p_provider text, p_state_hash bytea, p_browser_hash bytea, p_verifier bytea,
  p_issuer text, p_redirect_uri text
) returns uuid language plpgsql security definer set search_path = '' as $$
declare
  v_source uuid;
  v_user uuid := (select auth.uid());
begin
  if not private.is_org_admin(p_org_id) then
    raise exception 'only an admin connects' using errcode = '42501';
  end if;
  insert into public.connected_sources (org_id, provider, connected_by) values (p_org_id, p_provider, v_user)
    on conflict (org_id, provider) do nothing;
  select id into v_source from public.connected_sources where org_id = p_org_id and provider = p_provider;
  delete from private.oauth_states where expires_at < clock_timestamp() - interval '1 day';
  if (select count(*) from private.oauth_states
       where user_id = v_user and consumed_at is null and expires_at > clock_timestamp()) >= 20 then
    raise exception 'too many connections under way' using errcode = 'BT003';
  end if;
  insert into private.oauth_states (state_hash, org_id, source_id, user_id, provider, browser_hash, verifier,
                                    issuer, redirect_uri, expires_at)
    values (p_state_hash, p_org_id, v_source, v_user, p_provider, p_browser_hash, p_verifier,
            p_issuer, p_redirect_uri, clock_timestamp() + interval '10 minutes');
  return v_source;
end
$$;

-- Use a state once. The caller commits this before it does anything else with the answer.
create function private.consume_oauth_state(p_state_hash bytea) returns setof private.oauth_states
language sql volatile security definer set search_path = '' as $$
  update private.oauth_states set consumed_at = clock_timestamp()
   where state_hash = p_state_hash and consumed_at is null and expires_at > clock_timestamp()
  returning *
$$;

-- What went wrong on the way: told on the card of the attempt whose state was used up. A connection that works keeps
-- working.
create function private.fail_connection(p_state_hash bytea, p_message text) returns void
language sql volatile security definer set search_path = '' as $$
  update public.connected_sources s
     set status = case when s.status in ('pending', 'revoked') then 'error' else s.status end,
         status_message = left(p_message, 500), updated_at = clock_timestamp()
    from private.oauth_states o
   where o.state_hash = p_state_hash and o.consumed_at > clock_timestamp() - interval '10 minutes'
     and s.org_id = o.org_id and s.id = o.source_id
$$;

-- An answer came that belongs to no attempt of ours: told on the admin's card only where it waits for one.
create function private.fail_pending_connection(p_org_id uuid, p_provider text, p_message text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  if not private.is_org_admin(p_org_id) then
    raise exception 'only an admin connects' using errcode = '42501';
  end if;
  update public.connected_sources
     set status = 'error', status_message = left(p_message, 500), updated_at = clock_timestamp()
   where org_id = p_org_id and provider = p_provider and status = 'pending';
end
$$;

-- The grant is in: the row becomes active, its live job ends, its rhythms are registered, and the full sync is queued.
-- The caller has stored the secrets in this same transaction. Returns the job.
create function private.complete_connection(
  p_org_id uuid, p_source_id uuid, p_access_secret uuid, p_refresh_secret uuid, p_expires_at timestamptz,
  p_scopes text[], p_account_id text, p_account_name text, p_mcp_server_url text
) returns uuid language plpgsql security definer set search_path = '' as $$
declare
  v_before public.connected_sources;
begin
  if not private.is_org_admin(p_org_id) then
    raise exception 'only an admin connects' using errcode = '42501';
  end if;
  select * into v_before from public.connected_sources
    where org_id = p_org_id and id = p_source_id for no key update;
  perform private.cancel_live_sync(p_org_id, p_source_id);
  if v_before.external_account_id is distinct from p_account_id then
    -- Another account's documents are not continued: its first listing replaces them.
    delete from public.sync_streams where org_id = p_org_id and source_id = p_source_id;
  end if;
  update public.connected_sources
    set status = 'active', status_message = null, connected_by = (select auth.uid()),
        connected_at = clock_timestamp(), access_token_vault_id = p_access_secret,
        refresh_token_vault_id = p_refresh_secret, token_expires_at = p_expires_at, scopes = p_scopes,
        external_account_id = p_account_id, external_account_name = p_account_name,
        mcp_server_url = p_mcp_server_url, updated_at = clock_timestamp()
    where org_id = p_org_id and id = p_source_id;
  insert into public.sync_schedules (org_id, source_id, rhythm, next_due_at)
    select p_org_id, p_source_id, rhythm, private.next_due(rhythm, o.time_zone, p_source_id)
      from unnest(array['delta', 'reconcile']) rhythm, public.organizations o where o.id = p_org_id
    on conflict (org_id, source_id, rhythm) do update set next_due_at = excluded.next_due_at;
  return private.enqueue_sync(p_org_id, p_source_id, 'full', 'connected');
end
$$;

-- The connection ends: state, live job and rhythms here; the caller deletes the secrets in the same transaction.
create function private.disconnect_source(p_org_id uuid, p_provider text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  v_source uuid;
begin
  if not private.is_org_admin(p_org_id) then
    raise exception 'only an admin disconnects' using errcode = '42501';
  end if;
  update public.connected_sources
    set status = 'revoked', status_message = null, access_token_vault_id = null, refresh_token_vault_id = null,
        token_expires_at = null, scopes = '{}', updated_at = clock_timestamp()
    where org_id = p_org_id and provider = p_provider
    returning id into v_source;
  if found then
    perform private.cancel_live_sync(p_org_id, v_source);
    delete from public.sync_schedules where org_id = p_org_id and source_id = v_source;
    update private.oauth_states set consumed_at = clock_timestamp()
      where org_id = p_org_id and source_id = v_source and consumed_at is null;
  end if;
  return v_source;
end
$$;

-- Whether a connection of any organisation lives on a grant of this account: revoking another grant of it may end that
-- one, too. A yes or no about an account that the caller has met at the provider; whose connection it is stays untold.
create function private.account_is_connected(p_provider text, p_account_id text) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.connected_sources
                  where provider = p_provider and external_account_id = p_account_id
                    and status in ('active', 'error') and access_token_vault_id is not null)
$$;

-- "Sync now": an admin asks for what the nightly rhythm would do anyway.
create function private.request_sync(p_org_id uuid, p_provider text, p_kind text) returns uuid
language plpgsql security definer set search_path = '' as $$
begin
  if not private.is_org_admin(p_org_id) then
    raise exception 'only an admin syncs' using errcode = '42501';
  end if;
  return private.enqueue_sync(p_org_id, (select id from public.connected_sources
    where org_id = p_org_id and provider = p_provider), p_kind, 'asked for');
end
$$;

do $$
declare
  routine regprocedure;
begin
  for routine in
    select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = 'private' and p.proname in ('begin_connection', 'consume_oauth_state', 'fail_connection',
       'fail_pending_connection', 'complete_connection', 'disconnect_source', 'account_is_connected',
       'request_sync')
  loop
    execute format('alter function %s owner to boots_dispatch', routine);
    execute format('revoke all on function %s from public', routine);
  end loop;
end
$$;
grant execute on function private.begin_connection, private.consume_oauth_state, private.fail_connection,
  private.fail_pending_connection, private.complete_connection, private.disconnect_source, private.account_is_connected, private.request_sync to boots_web;
