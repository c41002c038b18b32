-- boots:unless to_regclass('public.organizations') is not null
-- The tables that the portal had before the integrations sprint, as far as the integrations touch them.
-- Hosted Boots has its own: there this file is skipped.

create schema if not exists private;

create table public.organizations (
  id uuid primary key default gen_random_uuid(),
  slug text not null unique check (slug ~ '^[a-z0-9-]{1,40}$'),
  name text not null,
  time_zone text not null default 'UTC',
  created_at timestamptz not null default now()
);

create table public.organization_members (
  org_id uuid not null references public.organizations (id) on delete cascade,
  user_id uuid not null,
  role text not null default 'member' check (role in ('owner', 'admin', 'member')),
  created_at timestamptz not null default now(),
  primary key (org_id, user_id)
);
create index organization_members_user_id on public.organization_members (user_id);

create table public.client_intelligence (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete cascade,
  client_name text not null,
  profile jsonb not null default '{}',
  summary text not null default '',
  embedding extensions.vector(1536),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
-- Two identical indexes, as the sprint found them; its third file drops one.
create index client_intelligence_embedding_idx on public.client_intelligence
  using hnsw (embedding extensions.vector_cosine_ops);
create index client_intelligence_embedding_hnsw on public.client_intelligence
  using hnsw (embedding extensions.vector_cosine_ops);

create table public.org_brain (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete cascade,
  title text not null,
  content text not null,
  embedding extensions.vector(1536),
  created_at timestamptz not null default now(),
  unique (org_id, id)
);

create table public.proposals (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete cascade,
  title text not null,
  brief text not null check (length(brief) between 1 and 20000),
  status text not null default 'draft' check (status in ('draft', 'queued', 'writing', 'ready', 'failed')),
  sections jsonb not null default '[]',
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id)
);

create table public.jobs (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete cascade,
  job_type text not null,
  payload jsonb not null default '{}',
  status text not null default 'queued' check (status in ('queued', 'running', 'completed', 'failed')),
  attempts int not null default 0,
  locked_by text,
  locked_at timestamptz,
  error text,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  unique (org_id, id)
);
create index jobs_waiting on public.jobs (job_type, created_at) where status in ('queued', 'running');
create index jobs_org_id on public.jobs (org_id);

create function private.user_org_ids() returns setof uuid
language sql stable security definer set search_path = '' as $$
  select org_id from public.organization_members where user_id = (select auth.uid())
$$;
revoke all on function private.user_org_ids() from public;
grant usage on schema private to authenticated;
grant execute on function private.user_org_ids() to authenticated;

alter table public.organizations enable row level security;
alter table public.organization_members enable row level security;
alter table public.client_intelligence enable row level security;
alter table public.org_brain enable row level security;
alter table public.proposals enable row level security;
alter table public.jobs enable row level security;

revoke all on public.organizations, public.organization_members, public.client_intelligence, public.org_brain,
  public.proposals, public.jobs from public, anon, authenticated;
grant select on public.organizations, public.organization_members, public.client_intelligence,
  public.org_brain, public.proposals, public.jobs to authenticated;
grant insert (org_id, title, brief, status, created_by) on public.proposals to authenticated;
grant insert (org_id, job_type, payload) on public.jobs to authenticated;

create policy members_read on public.organizations for select to authenticated
  using (id = any (array(select private.user_org_ids())));
create policy members_read on public.organization_members for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy members_read on public.client_intelligence for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy members_read on public.org_brain for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy members_read on public.proposals for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy members_propose on public.proposals for insert to authenticated
  with check (org_id = any (array(select private.user_org_ids())) and created_by = (select auth.uid())
              and status = 'queued');
create policy members_read on public.jobs for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy members_propose on public.jobs for insert to authenticated
  with check (org_id = any (array(select private.user_org_ids())) and job_type = 'proposal');

create function public.claim_next_job(p_worker text, p_job_type text default null) returns setof public.jobs
language sql volatile set search_path = '' as $$
  update public.jobs set status = 'running', locked_by = p_worker, locked_at = clock_timestamp(),
         attempts = attempts + 1
   where id = (select id from public.jobs
                where status = 'queued' and (p_job_type is null or job_type = p_job_type)
                order by created_at, id for update skip locked limit 1)
  returning *
$$;
revoke all on function public.claim_next_job(text, text) from public, anon, authenticated;
