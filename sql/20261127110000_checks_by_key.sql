-- "Every fact has a living source" compared each fact with each document of a table that was not analysed yet, as after any
-- first sync: 0.8 s for 2,500 documents, three times in each run, and four times that for twice as many. A subquery that
-- answers a value is never turned into a join: each fact's document is looked up by its key.
create or replace function private.standing_checks(p_org_id uuid default null) returns table (slug text, check_name text, offending bigint)
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
     where c.retired_at is null and (p_org_id is null or c.org_id = p_org_id)
       and (select true from public.source_documents d
             where d.id = (fact ->> 'document_id')::uuid and d.org_id = c.org_id and d.deleted_at is null) is null
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
