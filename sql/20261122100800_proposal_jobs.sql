-- Proposals keep the portal's `jobs` and `claim_next_job`. What is added is for proposals only: a lease, so that a job whose
-- run died is claimed again; a time before which a job that failed is not tried again; and what the sensor counts. Jobs of
-- other types are claimed as they always were: nobody renews a lease on them.

alter table public.jobs
  add column lease_until timestamptz,
  add column not_before timestamptz,
  -- Any payload may be put in; one that names no proposal is failed by its name when it is claimed.
  add column proposal_id uuid generated always as (
    case when payload ->> 'proposal_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
         then (payload ->> 'proposal_id')::uuid end) stored;

-- Three attempts; the fourth claim is made to fail the job where somebody looks.
create function private.proposal_waits(j public.jobs) returns boolean
language sql stable set search_path = '' as $$
  select j.job_type = 'proposal' and j.attempts <= 3
         and (j.not_before is null or j.not_before <= clock_timestamp())
         and (j.status = 'queued' or (j.status = 'running' and j.lease_until < clock_timestamp()))
$$;

-- Replaced, not created anew: whoever may call it still may.
create or replace function public.claim_next_job(p_worker text, p_job_type text default null) returns setof public.jobs
language sql volatile security definer set search_path = '' as $$
  update public.jobs set status = 'running', locked_by = p_worker, locked_at = clock_timestamp(),
         -- As long as the slowest step of a proposal may take (boots_pipeline/agents/jobs.py).
         lease_until = case when job_type = 'proposal' then clock_timestamp() + interval '20 minutes' end,
         attempts = attempts + 1
   where id = (select j.id from public.jobs j
                where j.status in ('queued', 'running') and (p_job_type is null or j.job_type = p_job_type)
                  and case when j.job_type = 'proposal' then private.proposal_waits(j) else j.status = 'queued' end
                order by j.created_at, j.id for update skip locked limit 1)
  returning *
$$;

-- How many proposals wait, and who holds those that do not: a worker is called by its run.
create function private.proposal_work() returns table (waiting bigint, holders text[])
language sql stable security definer set search_path = '' as $$
  select count(*) filter (where private.proposal_waits(j)),
         coalesce(array_agg(j.locked_by) filter (where j.status = 'running' and not private.proposal_waits(j)), '{}')
    from public.jobs j
   where j.job_type = 'proposal' and j.status in ('queued', 'running')
$$;

alter function public.claim_next_job(text, text) owner to boots_dispatch;
alter function private.proposal_work() owner to boots_dispatch;
revoke all on function private.proposal_waits(public.jobs), private.proposal_work() from public, anon, authenticated;
grant execute on function private.proposal_waits(public.jobs) to boots_dispatch;
grant execute on function public.claim_next_job(text, text), private.proposal_work() to boots_worker;
