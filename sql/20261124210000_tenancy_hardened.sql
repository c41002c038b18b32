-- What a hostile reading of the roles and policies found. tests/tenancy/verdicts.py says what holds now.

-- The portal's own tables, too, are under their policies for an owner who is no superuser. The list of a user's
-- organisations is then read by the dispatcher, whom a policy lets see the members; it could not be read by the owner.
do $$
declare
  portal_table text;
begin
  foreach portal_table in array array['organizations', 'organization_members', 'org_brain', 'proposals', 'jobs'] loop
    execute format('alter table public.%I force row level security', portal_table);
  end loop;
end
$$;
grant create on schema private to boots_dispatch;
alter function private.user_org_ids() owner to boots_dispatch;

-- What runs above the policies lives where no API reaches it. Whoever may call claim_next_job still may; members and
-- strangers may not, whatever a server's default privileges gave them: they would hold another organisation's job.
create function private.claim_job(p_worker text, p_job_type text) returns setof public.jobs
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
alter function private.claim_job(text, text) owner to boots_dispatch;
revoke all on function private.claim_job(text, text) from public;
create or replace function public.claim_next_job(p_worker text, p_job_type text default null) returns setof public.jobs
language sql volatile security invoker set search_path = '' as $$
  select * from private.claim_job(p_worker, p_job_type)
$$;
revoke all on function public.claim_next_job(text, text) from public, anon, authenticated;
do $$
declare
  caller regrole;
begin
  for caller in
    select grantee from pg_proc, aclexplode(proacl)
     where oid = 'public.claim_next_job(text, text)'::regprocedure and grantee <> proowner
  loop
    execute format('grant usage on schema private to %s', caller);
    execute format('grant execute on function private.claim_job(text, text) to %s', caller);
  end loop;
end
$$;
revoke create on schema private from boots_dispatch;

-- Search refuses an organisation that the caller cannot see, and with the same words one that is not: no rows would have
-- been an answer, too. Run as the caller: his own policies decide.
create function private.require_organisation(p_org_id uuid) returns void
language plpgsql stable set search_path = '' as $$
begin
  if not exists (select from public.organizations where id = p_org_id) then
    raise exception 'no such organisation' using errcode = '42501';
  end if;
end
$$;
revoke all on function private.require_organisation(uuid) from public;
grant execute on function private.require_organisation(uuid) to authenticated, boots_worker;
do $$
declare
  search record;
begin
  for search in
    select oid, prosrc from pg_proc where pronamespace = 'public'::regnamespace
       and proname in ('match_source_documents', 'match_client_intelligence', 'find_source_documents')
  loop
    -- The queries stay as they are, behind a statement that refuses.
    execute replace(pg_get_functiondef(search.oid), search.prosrc,
                    E'\n  select private.require_organisation(filter_org_id);' || search.prosrc);
  end loop;
end
$$;

create index oauth_states_source on private.oauth_states (org_id, source_id);
