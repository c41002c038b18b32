-- Asset checks over all organisations in one statement. The role that owns it cannot log in, and may read ids, states and
-- profiles (whose facts it follows to their documents): no document's text and no payload. The function answers counts.

do $$ begin
  if to_regrole('boots_audit') is null then create role boots_audit nologin; end if;
  execute format('grant boots_audit to %I', current_user);
end $$;
grant usage, create on schema private to boots_audit;
grant usage on schema public to boots_audit;
grant select (id, slug) on public.organizations to boots_audit;
grant select (org_id, id, embedding_model, deleted_at, passage_count) on public.source_documents to boots_audit;
grant select (org_id, document_id, embedding_model) on public.source_document_passages to boots_audit;
grant select (org_id, client_id, profile, retired_at) on public.client_intelligence to boots_audit;
grant select on public.embedding_models to boots_audit;
grant select (org_id, id, source_id, status, lease_until, message_id, created_at, finished_at, error_class)
  on public.ingestion_jobs to boots_audit;
grant select (org_id, id, provider, status, connected_at) on public.connected_sources to boots_audit;
create policy audit on public.organizations for select to boots_audit using (true);
create policy audit on public.source_documents for select to boots_audit using (true);
create policy audit on public.source_document_passages for select to boots_audit using (true);
create policy audit on public.client_intelligence for select to boots_audit using (true);
create policy audit on public.embedding_models for select to boots_audit using (true);
create policy audit on public.ingestion_jobs for select to boots_audit using (true);
create policy audit on public.connected_sources for select to boots_audit using (true);

-- One row per organisation and check: how many rows offend. Of all organisations, or of one.
create function private.standing_checks(p_org_id uuid default null) returns table (slug text, check_name text, offending bigint)
language sql stable security definer set search_path = '' as $$
  with orgs as (
    select o.id, o.slug from public.organizations o
     where exists (select from public.connected_sources s where s.org_id = o.id and s.connected_at is not null)
       and (p_org_id is null or o.id = p_org_id)
  ), unembedded as (
    select d.org_id, count(*) as n from public.source_documents d
      join public.embedding_models m on m.org_id = d.org_id
     where d.deleted_at is null and (p_org_id is null or d.org_id = p_org_id)
       and (d.embedding_model is distinct from m.active
            or (d.passage_count > 1 and d.passage_count - 1 <> (
                 select count(*) from public.source_document_passages p
                  where p.org_id = d.org_id and p.document_id = d.id and p.embedding_model = m.active)))
     group by d.org_id
  ), unsupported as (
    select c.org_id, count(*) as n
      from public.client_intelligence c, jsonb_array_elements(c.profile -> 'facts') fact
     where c.retired_at is null and (p_org_id is null or c.org_id = p_org_id) and not exists (
             select from public.source_documents d
              where d.org_id = c.org_id and d.id = (fact ->> 'document_id')::uuid and d.deleted_at is null)
     group by c.org_id
  ), stuck as (
    select j.org_id, count(*) as n from public.ingestion_jobs j
     where (p_org_id is null or j.org_id = p_org_id)
       and ((j.status = 'running' and j.lease_until < clock_timestamp() - interval '1 hour')
            or (j.status = 'queued' and j.created_at < clock_timestamp() - interval '1 day'))
     group by j.org_id
  )
  select orgs.slug, checked.check_name, coalesce(checked.n, 0)
    from orgs cross join lateral (values
      ('every_document_is_embedded', (select n from unembedded where org_id = orgs.id)),
      ('every_fact_has_a_living_source', (select n from unsupported where org_id = orgs.id)),
      ('every_job_ends', (select n from stuck where org_id = orgs.id))
    ) as checked (check_name, n)
$$;
alter function private.standing_checks(uuid) owner to boots_audit;
revoke all on function private.standing_checks(uuid) from public;
grant execute on function private.standing_checks(uuid) to boots_worker;

-- The functions have their owners; nobody creates in these schemas any more but the owner.
revoke create on schema private, public from boots_dispatch;
revoke create on schema private from boots_audit;
