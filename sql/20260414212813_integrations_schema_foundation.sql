-- Sprint, part 1: which systems an organisation has connected, the work of syncing them, and which
-- knowledge informed which section of a proposal (at first only what the organisation says of itself).

create table public.connected_sources (
  id uuid not null default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete cascade,
  -- The list of providers lives in boots_pipeline/providers: a fifth one needs no migration.
  provider text not null check (provider ~ '^[a-z][a-z0-9_]{1,30}$'),
  status text not null default 'pending' check (status in ('pending', 'active', 'needs_reauth', 'error', 'revoked')),
  status_message text,
  connected_by uuid,
  last_synced_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  unique (org_id, provider)
);

create table public.ingestion_jobs (
  id uuid not null default gen_random_uuid(),
  org_id uuid not null,
  source_id uuid not null,
  kind text not null check (kind in ('full', 'delta', 'reconcile')),
  status text not null default 'queued'
    check (status in ('queued', 'running', 'completed', 'partial', 'failed', 'cancelled', 'dead')),
  reason text not null default 'manual',
  error_class text,
  error_message text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  primary key (org_id, id),
  foreign key (org_id, source_id) references public.connected_sources (org_id, id) on delete cascade
);
create index ingestion_jobs_source on public.ingestion_jobs (org_id, source_id, created_at desc);
-- At most one live job per connection, whoever asks.
create unique index ingestion_jobs_one_live on public.ingestion_jobs (org_id, source_id)
  where status in ('queued', 'running');

create table public.source_attribution (
  id uuid not null default gen_random_uuid(),
  org_id uuid not null,
  proposal_id uuid not null,
  section text not null,
  agent_role text not null,
  org_brain_id uuid not null,
  relevance_score real check (relevance_score between -1 and 1),
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, proposal_id) references public.proposals (org_id, id) on delete cascade,
  foreign key (org_id, org_brain_id) references public.org_brain (org_id, id)
);
create index source_attribution_proposal on public.source_attribution (org_id, proposal_id);
create index source_attribution_org_brain on public.source_attribution (org_id, org_brain_id);

alter table public.connected_sources enable row level security;
alter table public.ingestion_jobs enable row level security;
alter table public.source_attribution enable row level security;
alter table public.connected_sources force row level security;
alter table public.ingestion_jobs force row level security;
alter table public.source_attribution force row level security;

revoke all on public.connected_sources, public.ingestion_jobs, public.source_attribution
  from public, anon, authenticated;
-- Who could set mcp_server_url could have a token sent to himself: three columns in, no update.
grant insert (org_id, provider, connected_by) on public.connected_sources to authenticated;
grant select (id, org_id, provider, status, status_message, connected_by, last_synced_at, created_at, updated_at)
  on public.connected_sources to authenticated;
grant select on public.ingestion_jobs, public.source_attribution to authenticated;

create policy members_read on public.connected_sources for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy members_insert on public.connected_sources for insert to authenticated
  with check (org_id = any (array(select private.user_org_ids())) and connected_by = (select auth.uid()));
create policy members_read on public.ingestion_jobs for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy members_read on public.source_attribution for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
