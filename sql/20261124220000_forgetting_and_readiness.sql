-- What the settings page promises. Disconnecting may delete what was ingested: an admin marks the connection, the pages
-- delete in batches, and the pipeline finishes what they did not. Items that were left out are tried again when somebody
-- asks. And what /readyz and the cards tell of the pipeline: when it was last seen, and how fast a sync is since it was
-- claimed.

alter table public.connected_sources
  add column forgetting_since timestamptz,   -- an admin asked to delete what was ingested, and some of it is still there
  add column forgotten_at timestamptz,       -- since then none of it is
  -- Nothing is connected while its documents are deleted: a sync would take them for kept.
  add constraint connected_sources_forgets_in_peace check (forgetting_since is null or status = 'revoked');
grant select (forgetting_since, forgotten_at) on public.connected_sources to authenticated;

-- Rows of one section may quote one passage twice. With their quotes blanked they would be each other's double.
alter table public.source_attribution
  add column evidence_gone uuid check (evidence_gone = id),
  drop constraint source_attribution_once,
  add constraint source_attribution_once unique nulls not distinct
    (org_id, proposal_id, section, agent_role, org_brain_id, client_intelligence_id, source_document_id,
     evidence_document_id, evidence_passage, evidence_quote, evidence_gone);
comment on column public.source_attribution.evidence_gone is
  'Its own id once an admin had deleted what it rested on: title and quote are blanked then';

-- A client whose profile does not stand any more is living and has no hash: the next roll-up writes it anew, or retires it.
create index client_intelligence_stale on public.client_intelligence (org_id)
  where content_hash is null and retired_at is null;

-- How fast a sync is, and when it will be done, is told from its latest claim on: it may have waited for hours before.
alter table public.ingestion_jobs add column claimed_at timestamptz, add column seen_at_claim int not null default 0;
create function private.note_claim() returns trigger language plpgsql set search_path = '' as $$
begin
  new.claimed_at := clock_timestamp();
  new.seen_at_claim := old.items_seen;
  return new;
end
$$;
revoke all on function private.note_claim() from public;
create trigger note_claim before update of lease_token on public.ingestion_jobs
  for each row when (new.lease_token is not null and old.lease_token is distinct from new.lease_token)
  execute function private.note_claim();

-- Which parts of Boots were seen when. One row each, written at most every 15 s, and never a new page for it.
create table private.heartbeats (
  part text primary key,
  seen_at timestamptz not null
) with (fillfactor = 10);
alter table private.heartbeats enable row level security;
alter table private.heartbeats force row level security;
revoke all on private.heartbeats from public;
grant select, insert, update on private.heartbeats to boots_dispatch;
create policy dispatch on private.heartbeats to boots_dispatch using (true) with check (true);

-- The role that deletes on an admin's behalf. It cannot log in; it may read who a document belongs to and which clients it is
-- about, and may change or delete documents of a connection that is marked, and no others.
do $$ begin
  if to_regrole('boots_forget') is null then create role boots_forget nologin; end if;
  execute format('grant boots_forget to %I', current_user);
end $$;
grant usage, create on schema private to boots_forget;
grant create on schema private to boots_dispatch;
grant usage on schema public to boots_forget;
grant execute on function private.is_org_admin(uuid) to boots_forget;
grant select (org_id, id, provider, status, forgetting_since),
      update (forgetting_since, forgotten_at, external_account_id, external_account_name, last_synced_at, updated_at)
  on public.connected_sources to boots_forget;
grant select (org_id, id, source_id, client_keys, deleted_at, raw_payload, content, title, url), delete,
      update (title, content, raw_payload, content_hash, payload_hash, embedding, embedding_model, facts, url, version,
              client_keys, names_client, passage_count, source_updated_at, vanished_at, deleted_at, updated_at)
  on public.source_documents to boots_forget;
grant select (org_id, document_id), delete on public.source_document_passages to boots_forget;
grant select (org_id, document_id, client_id), delete on public.client_documents to boots_forget;
grant select (org_id, key), delete on public.client_keys to boots_forget;
grant select (org_id, client_id, source_document_id, content_hash, retired_at), update (source_document_id, content_hash)
  on public.client_intelligence to boots_forget;
grant select (org_id, id, evidence_document_id, source_document_id, evidence_gone),
      update (evidence_title, evidence_quote, evidence_gone) on public.source_attribution to boots_forget;
grant select (org_id, source_id), delete on public.quarantined_items, public.sync_streams to boots_forget;
grant select (org_id, id, source_id), update (checkpoint) on public.ingestion_jobs to boots_forget;
grant select (org_id, job_id), delete on public.ingestion_seen to boots_forget;
grant select (id, slug) on public.organizations to boots_forget;

create policy forget on public.connected_sources to boots_forget using (true) with check (true);
create policy forget_read on public.source_documents for select to boots_forget
  using (org_id in (select org_id from public.connected_sources where forgetting_since is not null));
create policy forget_update on public.source_documents for update to boots_forget
  using ((org_id, source_id) in (select org_id, id from public.connected_sources where forgetting_since is not null));
create policy forget_delete on public.source_documents for delete to boots_forget
  using ((org_id, source_id) in (select org_id, id from public.connected_sources where forgetting_since is not null));
create policy forget on public.source_document_passages to boots_forget
  using (exists (select from public.source_documents d
                  where d.org_id = source_document_passages.org_id and d.id = document_id));
create policy forget on public.client_intelligence to boots_forget using (true);
create policy forget on public.organizations for select to boots_forget using (true);
do $$
declare
  tenant_table text;
begin
  foreach tenant_table in array array['client_documents', 'client_keys', 'source_attribution', 'quarantined_items',
                                      'sync_streams', 'ingestion_jobs', 'ingestion_seen'] loop
    execute format('create policy forget on public.%I to boots_forget using (org_id in '
                   '(select org_id from public.connected_sources where forgetting_since is not null))', tenant_table);
  end loop;
end
$$;

-- Up to p_limit documents of a marked connection: deleted, and where a proposal names one as what it was informed by, blanked.
-- Clients that they were about lose their hash. True: there may be more. The last batch takes along what else was ingested,
-- and the mark. Dying anywhere leaves the mark, and the rest to the next call.
create function private.forget_batch(p_org_id uuid, p_source_id uuid, p_limit int) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_ids uuid[];
begin
  -- A roll-up writes under this lock, and looks under it whether documents have changed: none writes what goes here.
  perform pg_advisory_xact_lock(hashtextextended('roll_up:' || p_org_id, 0));
  perform from public.connected_sources
    where org_id = p_org_id and id = p_source_id and forgetting_since is not null for no key update;
  if not found then
    return false;
  end if;
  v_ids := array(
    select id from public.source_documents
     where org_id = p_org_id and source_id = p_source_id
       and (deleted_at is null or raw_payload is not null or url is not null or title <> '' or content <> '')
     limit p_limit);
  update public.client_intelligence set content_hash = null
   where org_id = p_org_id and content_hash is not null and client_id in (
         select client_id from public.client_documents where org_id = p_org_id and document_id = any (v_ids));
  update public.client_intelligence set source_document_id = null, content_hash = null
   where org_id = p_org_id and source_document_id = any (v_ids);
  update public.source_attribution set evidence_title = null, evidence_quote = null, evidence_gone = id
   where org_id = p_org_id and (evidence_document_id = any (v_ids) or source_document_id = any (v_ids));
  delete from public.source_document_passages where org_id = p_org_id and document_id = any (v_ids);
  delete from public.client_documents where org_id = p_org_id and document_id = any (v_ids);
  delete from public.source_documents d
   where d.org_id = p_org_id and d.id = any (v_ids)
     and not exists (select from public.source_attribution a where a.org_id = d.org_id and a.evidence_document_id = d.id)
     and not exists (select from public.source_attribution a where a.org_id = d.org_id and a.source_document_id = d.id);
  update public.source_documents
     set title = '', content = '', raw_payload = null, content_hash = '', payload_hash = '', embedding = null,
         embedding_model = null, facts = '[]', url = null, version = null, client_keys = '{}', names_client = false,
         passage_count = 1, source_updated_at = null, vanished_at = null,
         deleted_at = coalesce(deleted_at, clock_timestamp()), updated_at = clock_timestamp()
   where org_id = p_org_id and id = any (v_ids);
  if cardinality(v_ids) = p_limit then
    return true;
  end if;
  delete from public.quarantined_items where org_id = p_org_id and source_id = p_source_id;
  delete from public.sync_streams where org_id = p_org_id and source_id = p_source_id;
  delete from public.ingestion_seen s using public.ingestion_jobs j
   where s.org_id = p_org_id and j.org_id = p_org_id and j.id = s.job_id and j.source_id = p_source_id;
  update public.ingestion_jobs set checkpoint = '{}' where org_id = p_org_id and source_id = p_source_id;
  -- Addresses and domains that no other document knows. EXCEPT, since NOT IN compares each with each once they outgrow
  -- work_mem.
  delete from public.client_keys
   where org_id = p_org_id and key = any (array(
         select key from public.client_keys where org_id = p_org_id
         except
         select unnest(client_keys) from public.source_documents where org_id = p_org_id));
  update public.connected_sources
     set forgetting_since = null, forgotten_at = clock_timestamp(), external_account_id = null,
         external_account_name = null, last_synced_at = null, updated_at = clock_timestamp()
   where org_id = p_org_id and id = p_source_id;
  return false;
end
$$;

-- For the pages, as an admin: mark a connection that has ended. The caller disconnects it in the same transaction.
create function private.ask_to_forget(p_org_id uuid, p_provider text) returns void
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not private.is_org_admin(p_org_id) then
    raise exception 'only an admin deletes' using errcode = '42501';
  end if;
  update public.connected_sources set forgetting_since = coalesce(forgetting_since, clock_timestamp())
   where org_id = p_org_id and provider = p_provider and status = 'revoked';
end
$$;

-- For the pages, as an admin: a batch of what was marked. True: there may be more.
create function private.forget_ingested(p_org_id uuid, p_provider text, p_limit int) returns boolean
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not private.is_org_admin(p_org_id) then
    raise exception 'only an admin deletes' using errcode = '42501';
  end if;
  return coalesce((select private.forget_batch(org_id, id, p_limit) from public.connected_sources
                    where org_id = p_org_id and provider = p_provider), false);
end
$$;

-- For the pipeline: a batch of what an admin marked more than a minute ago, so that the pages are not at it any more.
create function private.finish_forgetting(p_limit int) returns boolean
language sql volatile security definer set search_path = '' as $$
  select coalesce((select private.forget_batch(org_id, id, p_limit) from public.connected_sources
                    where forgetting_since < clock_timestamp() - interval '1 minute'
                    order by forgetting_since limit 1), false)
$$;

-- For the pipeline: whose clients do not stand any more.
create function private.organisations_to_roll_up() returns setof text
language sql stable security definer set search_path = '' as $$
  select slug from public.organizations
   where id in (select org_id from public.client_intelligence where content_hash is null and retired_at is null)
   order by slug
$$;

-- "Try again": everything that was left out counts as new, and the sync that asks for it is queued. Returns the job.
create function private.retry_left_out(p_org_id uuid, p_provider text) returns uuid
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not private.is_org_admin(p_org_id) then
    raise exception 'only an admin syncs' using errcode = '42501';
  end if;
  update public.quarantined_items q set attempts = 1
    from public.connected_sources s
   where s.org_id = p_org_id and s.provider = p_provider and q.org_id = s.org_id and q.source_id = s.id;
  return private.request_sync(p_org_id, p_provider, 'delta');
end
$$;
grant select, update (attempts) on public.quarantined_items to boots_dispatch;
create policy dispatch on public.quarantined_items to boots_dispatch using (true) with check (true);

-- For members: the attempts to connect that began in the last day, the latest of each connection. `open_until` passes
-- without a change of any row: an attempt that nobody finishes is over by itself.
create function private.attempts_to_connect(p_org_id uuid)
returns table (source_id uuid, begun_at timestamptz, open_until timestamptz)
language sql stable security definer set search_path = '' as $$
  select distinct on (o.source_id) o.source_id, o.created_at,
         case when o.consumed_at is null and o.expires_at > clock_timestamp() then o.expires_at end
    from private.oauth_states o
   where o.org_id = p_org_id and o.created_at > clock_timestamp() - interval '1 day'
     and exists (select from public.organization_members m where m.org_id = p_org_id and m.user_id = (select auth.uid()))
   order by o.source_id, o.created_at desc
$$;

-- The pipeline says that it is there.
create function private.note_alive(p_part text) returns void
language sql volatile security definer set search_path = '' as $$
  insert into private.heartbeats as h (part, seen_at) values (p_part, clock_timestamp())
  on conflict (part) do update set seen_at = excluded.seen_at where h.seen_at < excluded.seen_at - interval '15 seconds'
$$;

-- When a part was last seen; null: never.
create function private.last_seen(p_part text) returns timestamptz
language sql stable security definer set search_path = '' as $$
  select seen_at from private.heartbeats where part = p_part
$$;

-- Whether the queue can be read. It says nothing of what is in it.
create function private.queue_answers() returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from pgmq.q_ingestion_queue) is not null
$$;

do $$
declare
  made text;
begin
  foreach made in array array['forget_batch(uuid, uuid, int)', 'forget_ingested(uuid, text, int)',
                              'finish_forgetting(int)', 'organisations_to_roll_up()'] loop
    execute format('alter function private.%s owner to boots_forget', made);
    execute format('revoke all on function private.%s from public', made);
  end loop;
  foreach made in array array['ask_to_forget(uuid, text)', 'retry_left_out(uuid, text)', 'attempts_to_connect(uuid)',
                              'note_alive(text)', 'last_seen(text)', 'queue_answers()'] loop
    execute format('alter function private.%s owner to boots_dispatch', made);
    execute format('revoke all on function private.%s from public', made);
  end loop;
end
$$;
grant execute on function private.ask_to_forget, private.forget_ingested, private.retry_left_out, private.queue_answers
  to boots_web;
grant execute on function private.attempts_to_connect to authenticated;
grant execute on function private.last_seen to boots_web, authenticated;
grant execute on function private.finish_forgetting, private.organisations_to_roll_up, private.note_alive
  to boots_worker;
revoke create on schema private from boots_forget, boots_dispatch;
