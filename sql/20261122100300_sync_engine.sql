-- The sync engine: a sync is a row of ingestion_jobs and a message in pgmq.ingestion_queue, made together and
-- ended together. The functions below are the only way in which either changes hands:
--   enqueue_sync → read_sync_messages → claim_sync → renew_sync_lease … → finish_sync | release_sync
-- They belong to boots_dispatch, which sees jobs, schedules, connections and queues, and nothing else.

alter table public.connected_sources
  add column external_account_id text,
  add column external_account_name text,
  add column connected_at timestamptz;
grant select (external_account_id, external_account_name, connected_at) on public.connected_sources to authenticated;
grant update (external_account_id, external_account_name) on public.connected_sources to boots_worker;

alter table public.ingestion_jobs
  add column attempt int not null default 0,
  add column lease_token uuid,
  add column lease_until timestamptz,
  add column message_id bigint,
  add column message_read_ct int,
  add column retry_after timestamptz,
  add column rerun_as text check (rerun_as in ('full', 'delta', 'reconcile')),
  add column run_id text,
  add column stage text not null default 'waiting',
  add column checkpoint jsonb not null default '{}',
  add column items_seen int not null default 0,
  add column items_expected int,
  add column documents_added int not null default 0,
  add column documents_changed int not null default 0,
  add column documents_unchanged int not null default 0,
  add column documents_removed int not null default 0,
  add column documents_embedded int not null default 0,
  add column items_quarantined int not null default 0,
  -- A terminal job holds no lease; a running one always does.
  add check (status in ('queued', 'running') or lease_token is null),
  add check (status <> 'running' or lease_token is not null);
comment on column public.ingestion_jobs.checkpoint is
  'Where to resume, per stream; {"stream": {"cursor": …, "read": the listing''s end, "verdict": once concluded, …}}';
grant update (attempt, stage, checkpoint, items_seen, items_expected, documents_added, documents_changed,
  documents_unchanged, documents_removed, documents_embedded, items_quarantined)
  on public.ingestion_jobs to boots_worker;

create table public.sync_streams (
  org_id uuid not null,
  source_id uuid not null,
  stream text not null,
  watermark timestamptz not null,      -- the next delta asks for what changed since
  listed_at timestamptz,               -- the last complete listing
  shortfall int not null default 0,    -- items that the provider counted and did not hand out
  shortfall_runs int not null default 0,
  vanished int not null default 0,     -- items missing from the last listing, deletion refused by the guard
  primary key (org_id, source_id, stream),
  foreign key (org_id, source_id) references public.connected_sources (org_id, id) on delete cascade
);
-- Missing from a complete listing, and kept: the guard deletes it when the next complete listing misses it, too.
alter table public.source_documents add column vanished_at timestamptz;
create table public.ingestion_seen (   -- what the running listing has met so far; emptied at its end
  org_id uuid not null,
  job_id uuid not null,
  stream text not null,
  external_id text not null,
  primary key (org_id, job_id, stream, external_id),
  foreign key (org_id, job_id) references public.ingestion_jobs (org_id, id) on delete cascade
);
create table public.quarantined_items (
  org_id uuid not null,
  source_id uuid not null,
  stream text not null,
  external_id text not null,
  reason text not null,
  attempts int not null default 1,
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  primary key (org_id, source_id, stream, external_id),
  foreign key (org_id, source_id) references public.connected_sources (org_id, id) on delete cascade
);
create table public.sync_schedules (
  org_id uuid not null,
  source_id uuid not null,
  rhythm text not null check (rhythm in ('delta', 'reconcile')),
  next_due_at timestamptz not null,
  primary key (org_id, source_id, rhythm),
  foreign key (org_id, source_id) references public.connected_sources (org_id, id) on delete cascade
);
create index sync_schedules_due on public.sync_schedules (next_due_at);

do $$
declare
  tenant_table text;
begin
  foreach tenant_table in array array['sync_streams', 'ingestion_seen', 'quarantined_items', 'sync_schedules'] loop
    execute format('alter table public.%I enable row level security', tenant_table);
    execute format('alter table public.%I force row level security', tenant_table);
    execute format('revoke all on public.%I from public, anon, authenticated', tenant_table);
    execute format('create policy worker on public.%I to boots_worker using (org_id = (select private.current_org())) '
                   'with check (org_id = (select private.current_org()))', tenant_table);
  end loop;
end
$$;
grant select, insert, update, delete on public.sync_streams, public.ingestion_seen, public.quarantined_items
  to boots_worker;
grant select on public.sync_schedules to boots_worker;
grant select on public.quarantined_items, public.sync_schedules, public.sync_streams to authenticated;
create policy members_read on public.quarantined_items for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy members_read on public.sync_schedules for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy members_read on public.sync_streams for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
grant select, insert, update, delete on public.sync_schedules to boots_dispatch;
grant select, delete on public.sync_streams to boots_dispatch;
create policy dispatch on public.sync_schedules to boots_dispatch using (true) with check (true);
create policy dispatch on public.sync_streams to boots_dispatch using (true) with check (true);

select pgmq.create('ingestion_dlq');
grant usage on schema pgmq to boots_dispatch;
grant select on pgmq.meta to boots_dispatch;
grant select, insert, update, delete on pgmq.q_ingestion_queue, pgmq.a_ingestion_queue,
  pgmq.q_ingestion_dlq, pgmq.a_ingestion_dlq to boots_dispatch;
grant usage on all sequences in schema pgmq to boots_dispatch;
alter table pgmq.q_ingestion_queue enable row level security;
alter table pgmq.a_ingestion_queue enable row level security;
alter table pgmq.q_ingestion_dlq enable row level security;
alter table pgmq.a_ingestion_dlq enable row level security;
create policy dispatch on pgmq.q_ingestion_queue to boots_dispatch using (true) with check (true);
create policy dispatch on pgmq.a_ingestion_queue to boots_dispatch using (true) with check (true);
create policy dispatch on pgmq.q_ingestion_dlq to boots_dispatch using (true) with check (true);
create policy dispatch on pgmq.a_ingestion_dlq to boots_dispatch using (true) with check (true);

-- Of two kinds of sync the one that covers the other.
create function private.wider_sync(a text, b text) returns text language sql immutable set search_path = '' as $$
  select case when array_position(array['delta', 'reconcile', 'full'], coalesce(a, 'delta'))
                 > array_position(array['delta', 'reconcile', 'full'], coalesce(b, 'delta')) then a else b end
$$;

-- Ask for a sync. At most one job of a connection lives: asking again upgrades a queued job and pulls it
-- forward (never before the provider's Retry-After). A running one is followed by another, and so is one that has
-- begun and waits: what it has counted and where it stands belong to the kind of listing that it began.
create function private.enqueue_sync(
  p_org_id uuid, p_source_id uuid, p_kind text, p_reason text, p_delay interval default '0'
) returns uuid language plpgsql security definer set search_path = '' as $$
declare
  v_job public.ingestion_jobs;
  v_visible_at timestamptz := clock_timestamp() + p_delay;
begin
  -- A connection that was never completed may be in `error`, too: it holds no token, and its organisation no partition.
  perform from public.connected_sources
    where org_id = p_org_id and id = p_source_id and status in ('active', 'error')
      and connected_at is not null and access_token_vault_id is not null for no key update;
  if not found then
    raise exception 'the connection is not active' using errcode = 'BT001';
  end if;
  select * into v_job from public.ingestion_jobs
    where org_id = p_org_id and source_id = p_source_id and status in ('queued', 'running') for update;
  if not found then
    insert into public.ingestion_jobs (org_id, source_id, kind, reason)
      values (p_org_id, p_source_id, p_kind, p_reason) returning * into v_job;
    update public.ingestion_jobs
      set message_id = private.send_sync_message(p_org_id, v_job.id, p_delay)
      where org_id = p_org_id and id = v_job.id;
  elsif v_job.status = 'queued' then
    if v_job.checkpoint = '{}' then
      update public.ingestion_jobs set kind = private.wider_sync(kind, p_kind), reason = p_reason
        where org_id = p_org_id and id = v_job.id;
    elsif private.wider_sync(p_kind, v_job.kind) <> v_job.kind then
      update public.ingestion_jobs set rerun_as = private.wider_sync(rerun_as, p_kind)
        where org_id = p_org_id and id = v_job.id;
    end if;
    update pgmq.q_ingestion_queue
      set vt = least(vt, greatest(v_visible_at, coalesce(v_job.retry_after, v_visible_at)))
      where msg_id = v_job.message_id;
    if not found then
      perform private.resend_lost_messages();
    end if;
  else
    update public.ingestion_jobs set rerun_as = private.wider_sync(rerun_as, p_kind)
      where org_id = p_org_id and id = v_job.id;
  end if;
  return v_job.id;
end
$$;

create function private.send_sync_message(p_org_id uuid, p_job_id uuid, p_delay interval) returns bigint
language sql volatile security definer set search_path = '' as $$
  select sent from pgmq.send('ingestion_queue',
    jsonb_build_object('v', 1, 'job_id', p_job_id, 'org_id', p_org_id),
    greatest(0, extract(epoch from p_delay))::int) as sent
$$;

-- The net under the queue: a live job whose message is gone (somebody purged or deleted it) gets another one. Jobs that a
-- worker holds are left to it.
create function private.resend_lost_messages() returns void
language sql volatile security definer set search_path = '' as $$
  update public.ingestion_jobs j
     set message_id = private.send_sync_message(j.org_id, j.id, greatest('0', j.retry_after - clock_timestamp()))
   where j.status in ('queued', 'running') and coalesce(j.lease_until, '-infinity') < clock_timestamp()
     and not exists (select from pgmq.q_ingestion_queue q where q.msg_id = j.message_id)
$$;

-- Move a message to the dead letters with the reason; its job, if it still lives, dies with it, and the card says so.
create function private.bury_sync_message(p_msg_id bigint, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_job public.ingestion_jobs;
begin
  perform pgmq.send('ingestion_dlq', jsonb_build_object('reason', p_reason, 'msg_id', msg_id, 'read_ct', read_ct,
                                                        'message', message))
    from pgmq.q_ingestion_queue where msg_id = p_msg_id;
  perform pgmq.archive('ingestion_queue', p_msg_id);
  update public.ingestion_jobs
    set status = 'dead', lease_token = null, lease_until = null, finished_at = clock_timestamp(),
        error_class = coalesce(error_class, 'infra'),
        error_message = 'The sync was given up: ' || p_reason || '. Ask for it again, or see the Dagster runs.'
    where message_id = p_msg_id and status in ('queued', 'running')
    returning * into v_job;
  update public.connected_sources
    set status = 'error', status_message = v_job.error_message, updated_at = clock_timestamp()
    where org_id = v_job.org_id and id = v_job.source_id and status = 'active';
end
$$;

-- For the sensor, in autocommit: what waits. Messages that no run could ever finish are settled here and come
-- back with the problem named; the others stay invisible for p_visibility seconds.
create function private.read_sync_messages(p_quantity int, p_visibility int)
returns table (msg_id bigint, read_ct int, org_id uuid, org_slug text, job_id uuid, provider text, problem text)
language plpgsql security definer set search_path = '' as $$
declare
  v_uuid constant text := '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';
  v_read record;
  v_job public.ingestion_jobs;
begin
  for v_read in
    select r.msg_id, r.read_ct,
           case when r.message ->> 'v' = '1' and r.message ->> 'org_id' ~ v_uuid then (r.message ->> 'org_id')::uuid end as org,
           case when r.message ->> 'v' = '1' and r.message ->> 'job_id' ~ v_uuid then (r.message ->> 'job_id')::uuid end as job
      from pgmq.read('ingestion_queue', p_visibility, p_quantity) r
  loop
    msg_id := v_read.msg_id; read_ct := v_read.read_ct; org_id := v_read.org; job_id := v_read.job;
    org_slug := null; provider := null; problem := null;
    v_job := null;
    if v_read.org is null or v_read.job is null then
      problem := 'malformed message';
    else
      select j.* into v_job from public.ingestion_jobs j where j.org_id = v_read.org and j.id = v_read.job;
      if v_job.id is null then
        problem := 'unknown job';
      elsif v_job.status not in ('queued', 'running') then
        problem := 'job already ' || v_job.status;
        perform pgmq.archive('ingestion_queue', v_read.msg_id);
      elsif v_job.message_id is distinct from v_read.msg_id then
        problem := 'message of an earlier hand-off';
      elsif v_job.attempt >= 5 and coalesce(v_job.lease_until, '-infinity') < clock_timestamp() then
        problem := 'claimed five times without an end';
      -- Counted since the last claim: a provider that often says "later" makes hand-offs, and is no poison.
      elsif v_read.read_ct - coalesce(v_job.message_read_ct, 0) >= 50 then
        problem := 'handed off fifty times without a claim';
      end if;
    end if;
    if problem is null then
      select o.slug, s.provider into org_slug, provider
        from public.connected_sources s join public.organizations o on o.id = s.org_id
       where s.org_id = v_read.org and s.id = v_job.source_id;
    elsif problem not like 'job already %' then
      perform private.bury_sync_message(v_read.msg_id, problem);
    end if;
    return next;
  end loop;
end
$$;

-- A run for this job is already queued or live: look again in p_visibility seconds. The reading does not count, or that
-- run, which was given the count before, could neither claim nor renew.
create function private.postpone_sync_message(p_msg_id bigint, p_read_ct int, p_visibility int) returns void
language sql volatile security definer set search_path = '' as $$
  update pgmq.q_ingestion_queue
     set vt = clock_timestamp() + make_interval(secs => p_visibility), read_ct = read_ct - 1
   where msg_id = p_msg_id and read_ct = p_read_ct
$$;

-- Which of these jobs a worker holds now.
create function private.leased_jobs(p_jobs uuid[]) returns setof uuid
language sql stable security definer set search_path = '' as $$
  select id from public.ingestion_jobs where id = any (p_jobs) and lease_until >= clock_timestamp()
$$;

-- Take the job: lease and message visibility together, fenced by the read_ct of the hand-off. No row comes back when
-- somebody holds it, when it has ended, when the provider asked us to wait, or when the message was handed off again.
create function private.claim_sync(
  p_org_id uuid, p_job_id uuid, p_read_ct int, p_lease_seconds int, p_run_id text
) returns setof public.ingestion_jobs language plpgsql security definer set search_path = '' as $$
declare
  v_message bigint;
begin
  select message_id into v_message from public.ingestion_jobs
    where org_id = p_org_id and id = p_job_id and status in ('queued', 'running') and attempt < 5
      and coalesce(lease_until, '-infinity') < clock_timestamp()
      and coalesce(retry_after, '-infinity') <= clock_timestamp()
    for update;
  if not found then
    return;
  end if;
  update pgmq.q_ingestion_queue set vt = clock_timestamp() + make_interval(secs => p_lease_seconds)
    where msg_id = v_message and read_ct = p_read_ct;
  if not found then
    return;
  end if;
  return query update public.ingestion_jobs
    set status = 'running', attempt = attempt + 1, lease_token = gen_random_uuid(), run_id = p_run_id,
        lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds), message_read_ct = p_read_ct,
        started_at = coalesce(started_at, clock_timestamp()), stage = 'connecting',
        error_class = null, error_message = null, retry_after = null
    where org_id = p_org_id and id = p_job_id
    returning *;
end
$$;

-- A materialization started by hand: make a job or take over the one that waits, and claim it in the same transaction, its
-- message never visible to the sensor. No row: a sync of this connection is running, or the provider asked us to wait.
create function private.claim_sync_by_hand(
  p_org_id uuid, p_provider text, p_kind text, p_lease_seconds int, p_run_id text
) returns setof public.ingestion_jobs language plpgsql security definer set search_path = '' as $$
declare
  v_source uuid;
  v_job uuid;
begin
  select id into v_source from public.connected_sources
    where org_id = p_org_id and provider = p_provider and status in ('active', 'error')
      and connected_at is not null and access_token_vault_id is not null for no key update;
  if not found then
    raise exception 'the connection is not active' using errcode = 'BT001';
  end if;
  -- Whoever died with this job is followed as he was; only what waits is upgraded.
  select id into v_job from public.ingestion_jobs
    where org_id = p_org_id and source_id = v_source and status = 'running';
  if not found then
    v_job := private.enqueue_sync(p_org_id, v_source, p_kind, 'by hand');
  end if;
  return query select claimed.*
    from public.ingestion_jobs j join pgmq.q_ingestion_queue q on q.msg_id = j.message_id,
         private.claim_sync(p_org_id, j.id, q.read_ct, p_lease_seconds, p_run_id) claimed
    where j.org_id = p_org_id and j.id = v_job;
end
$$;

-- Heartbeat: lease and message together. False: the lease is lost, write nothing more.
create function private.renew_sync_lease(p_org_id uuid, p_job_id uuid, p_lease_token uuid, p_lease_seconds int)
returns boolean language plpgsql security definer set search_path = '' as $$
declare
  v_job public.ingestion_jobs;
begin
  select * into v_job from public.ingestion_jobs
    where org_id = p_org_id and id = p_job_id and lease_token = p_lease_token and status = 'running' for update;
  if not found then
    return false;
  end if;
  update pgmq.q_ingestion_queue set vt = clock_timestamp() + make_interval(secs => p_lease_seconds)
    where msg_id = v_job.message_id and read_ct = v_job.message_read_ct;
  if not found then
    return false;
  end if;
  update public.ingestion_jobs set lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
    where org_id = p_org_id and id = p_job_id;
  return true;
end
$$;

-- End the job, its connection's state and its message together; a rerun that was asked for becomes the next job.
-- False: the lease is lost, and nothing was changed.
create function private.finish_sync(
  p_org_id uuid, p_job_id uuid, p_lease_token uuid, p_status text, p_error_class text, p_error_message text
) returns boolean language plpgsql security definer set search_path = '' as $$
declare
  v_job public.ingestion_jobs;
begin
  -- The connection before the job, as everybody locks them: a disconnect at this moment waits, and does not deadlock.
  perform from public.connected_sources s join public.ingestion_jobs j on j.org_id = s.org_id and j.source_id = s.id
    where j.org_id = p_org_id and j.id = p_job_id for no key update of s;
  update public.ingestion_jobs
    set status = p_status, error_class = p_error_class, error_message = p_error_message, stage = 'finished',
        lease_token = null, lease_until = null, finished_at = clock_timestamp()
    where org_id = p_org_id and id = p_job_id and lease_token = p_lease_token and status = 'running'
    returning * into v_job;
  if not found then
    return false;
  end if;
  perform pgmq.archive('ingestion_queue', v_job.message_id);
  update public.connected_sources
    set status = case when p_status in ('completed', 'partial') then 'active'
                      when p_error_class = 'needs_reauth' then 'needs_reauth'
                      when p_status = 'failed' then 'error' else status end,
        status_message = case when p_status = 'completed' then null else p_error_message end,
        last_synced_at = case when p_status in ('completed', 'partial') then clock_timestamp() else last_synced_at end,
        updated_at = clock_timestamp()
    where org_id = p_org_id and id = v_job.source_id and status in ('active', 'error');
  if v_job.rerun_as is not null and p_status in ('completed', 'partial', 'failed')
     and p_error_class is distinct from 'needs_reauth' then
    perform private.enqueue_sync(p_org_id, v_job.source_id, v_job.rerun_as, 'asked for while syncing');
  end if;
  return true;
end
$$;

-- Give the job back to the queue until p_delay has passed: a long Retry-After, a provider that is down, a stop of ours.
create function private.release_sync(
  p_org_id uuid, p_job_id uuid, p_lease_token uuid, p_delay interval, p_burns_attempt boolean,
  p_error_class text, p_error_message text
) returns boolean language plpgsql security definer set search_path = '' as $$
declare
  v_job public.ingestion_jobs;
begin
  update public.ingestion_jobs
    set status = 'queued', stage = 'waiting', lease_token = null, lease_until = null,
        attempt = case when p_burns_attempt then attempt else greatest(0, attempt - 1) end,
        retry_after = case when p_error_class = 'rate_limited' then clock_timestamp() + p_delay end,
        error_class = p_error_class, error_message = p_error_message
    where org_id = p_org_id and id = p_job_id and lease_token = p_lease_token and status = 'running'
    returning * into v_job;
  if not found then
    return false;
  end if;
  update pgmq.q_ingestion_queue set vt = clock_timestamp() + p_delay where msg_id = v_job.message_id;
  return true;
end
$$;

-- Disconnect and reconnect: the live job ends in their own transaction, its lease with it.
create function private.cancel_live_sync(p_org_id uuid, p_source_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  v_message bigint;
begin
  update public.ingestion_jobs
    set status = 'cancelled', lease_token = null, lease_until = null, finished_at = clock_timestamp(),
        error_class = 'cancelled', error_message = 'The connection was changed while it was syncing.'
    where org_id = p_org_id and source_id = p_source_id and status in ('queued', 'running')
    returning message_id into v_message;
  if found then
    perform pgmq.archive('ingestion_queue', v_message);
  end if;
end
$$;

-- The next time that a rhythm is due: the organisation's night (01:00 to 04:00 local, by a stable jitter), every day for
-- a delta, one day of the week for a reconciliation.
create function private.next_due(p_rhythm text, p_time_zone text, p_source_id uuid) returns timestamptz
language plpgsql stable set search_path = '' as $$
begin
  return (
    select min(night) from (
      select (date_trunc('day', clock_timestamp() at time zone p_time_zone) + make_interval(days => day)
              + interval '1 hour' + make_interval(secs => (hashtextextended(p_source_id::text, 0) & 1048575) % 10800))
             at time zone p_time_zone as night
        from generate_series(0, 8) as day) nights
     where night > clock_timestamp()
       and (p_rhythm = 'delta' or extract(dow from night at time zone p_time_zone)
                                = (hashtextextended(p_source_id::text, 1) & 1048575) % 7));
exception when invalid_parameter_value then
  -- A time zone that Postgres does not know must not stop everybody else's night.
  return private.next_due(p_rhythm, 'UTC', p_source_id);
end
$$;

-- For the schedule: put what is due into the queue, and say when it is due again.
create function private.enqueue_due_syncs(p_limit int) returns int
language plpgsql security definer set search_path = '' as $$
declare
  v_due record;
  v_count int := 0;
begin
  perform private.resend_lost_messages();
  for v_due in
    select d.org_id, d.source_id, d.rhythm, o.time_zone
      from public.sync_schedules d
      join public.connected_sources s on s.org_id = d.org_id and s.id = d.source_id
       and s.status in ('active', 'error') and s.access_token_vault_id is not null
      join public.organizations o on o.id = d.org_id
     where d.next_due_at <= clock_timestamp()
     order by d.next_due_at limit p_limit for no key update of d, s skip locked
  loop
    perform private.enqueue_sync(v_due.org_id, v_due.source_id, v_due.rhythm, 'nightly');
    update public.sync_schedules set next_due_at = private.next_due(v_due.rhythm, v_due.time_zone, v_due.source_id)
      where org_id = v_due.org_id and source_id = v_due.source_id and rhythm = v_due.rhythm;
    v_count := v_count + 1;
  end loop;
  return v_count;
end
$$;

-- Every organisation that has ever been connected: the partitions of the pipeline.
create function private.connected_organisations() returns table (org_id uuid, slug text)
language sql stable security definer set search_path = '' as $$
  select o.id, o.slug from public.organizations o
   where exists (select from public.connected_sources s where s.org_id = o.id and s.connected_at is not null)
   order by o.slug
$$;

-- A partition's slug to its organisation.
create function private.organisation_id(p_slug text) returns uuid
language sql stable security definer set search_path = '' as $$
  select id from public.organizations where slug = p_slug
$$;

do $$
declare
  routine regprocedure;
begin
  for routine in
    select p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
     where n.nspname = 'private' and p.proname in (
       'enqueue_sync', 'send_sync_message', 'resend_lost_messages', 'leased_jobs', 'bury_sync_message', 'read_sync_messages', 'postpone_sync_message',
       'claim_sync', 'claim_sync_by_hand', 'renew_sync_lease', 'finish_sync', 'release_sync', 'cancel_live_sync',
       'next_due', 'wider_sync', 'enqueue_due_syncs', 'connected_organisations', 'organisation_id')
  loop
    execute format('alter function %s owner to boots_dispatch', routine);
    execute format('revoke all on function %s from public', routine);
  end loop;
end
$$;
grant execute on function private.enqueue_sync, private.read_sync_messages, private.postpone_sync_message,
  private.claim_sync, private.claim_sync_by_hand, private.renew_sync_lease, private.finish_sync,
  private.release_sync, private.enqueue_due_syncs, private.connected_organisations, private.organisation_id,
  private.leased_jobs to boots_worker;
