-- Proposals keep the portal's `jobs` and `claim_next_job`; what is added is a lease, so that a job whose run died is claimed
-- again, and a run key for the sensor, which only counts.

alter table public.jobs
  add column lease_until timestamptz,
  add column proposal_id uuid generated always as (nullif(payload ->> 'proposal_id', '')::uuid) stored;

create or replace function public.claim_next_job(p_worker text, p_job_type text default null) returns setof public.jobs
language sql volatile security definer set search_path = '' as $$
  update public.jobs set status = 'running', locked_by = p_worker, locked_at = clock_timestamp(),
         lease_until = clock_timestamp() + interval '10 minutes', attempts = attempts + 1
   where id = (select id from public.jobs
                where (status = 'queued' or (status = 'running' and lease_until < clock_timestamp()))
                  -- Three attempts; the fourth claim is made to fail the job where somebody looks.
                  and attempts <= 3 and (p_job_type is null or job_type = p_job_type)
                order by created_at, id for update skip locked limit 1)
  returning *
$$;

-- What waits: proposals that no live lease holds.
create function private.waiting_proposals() returns table (job_id uuid, attempts int)
language sql stable security definer set search_path = '' as $$
  select j.id, j.attempts from public.jobs j
   where j.job_type = 'proposal' and j.attempts <= 3
     and (j.status = 'queued' or (j.status = 'running' and j.lease_until < clock_timestamp()))
   order by j.created_at, j.id
$$;

alter function public.claim_next_job(text, text) owner to boots_dispatch;
alter function private.waiting_proposals() owner to boots_dispatch;
revoke all on function public.claim_next_job(text, text), private.waiting_proposals() from public, anon, authenticated;
grant execute on function public.claim_next_job(text, text), private.waiting_proposals() to boots_worker;
