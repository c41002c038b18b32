-- Search names its organisation and the model that made the query's vector, and is exact: the organisation's btree, then a
-- sort. Run as the caller, under its policies. Rows only; how complete they are, knowledge/search.py says.

create function public.match_source_documents(
  query_embedding extensions.vector, match_count int, filter_org_id uuid,
  filter_source_id uuid default null, min_similarity float default 0
) returns table (
  id uuid, source_id uuid, provider text, document_type text, title text, passage int, content text, content_hash bytea,
  url text, source_updated_at timestamptz, client_id uuid, similarity float
) language sql stable set search_path = '' as $$
  with model as (
    select active from public.embedding_models where org_id = filter_org_id
  ), scored as (
    -- CASE, because a filter may be tried after the distance: vectors of another model have another length, and would raise.
    select d.id, 0 as passage,
           case when d.embedding_model = model.active then d.embedding operator(extensions.<=>) query_embedding end as distance
      from public.source_documents d, model
     where d.org_id = filter_org_id and d.deleted_at is null and d.embedding_model = model.active
       and (filter_source_id is null or d.source_id = filter_source_id)
    union all
    select p.document_id, p.position,
           case when p.embedding_model = model.active then p.embedding operator(extensions.<=>) query_embedding end
      from public.source_document_passages p
      join public.source_documents d on d.org_id = p.org_id and d.id = p.document_id, model
     where p.org_id = filter_org_id and d.deleted_at is null and p.embedding_model = model.active
       and (filter_source_id is null or d.source_id = filter_source_id)
  ), best as (
    select distinct on (scored.id) scored.id, scored.passage, scored.distance
      from scored where 1 - scored.distance >= min_similarity
     order by scored.id, scored.distance
  ), top as (
    select * from best order by distance, id limit match_count
  )
  select d.id, d.source_id, d.provider, d.document_type, d.title, top.passage,
         case when top.passage = 0 then d.content else p.content end, d.content_hash,
         d.url, d.source_updated_at, c.client_id, 1 - top.distance
    from top
    join public.source_documents d on d.org_id = filter_org_id and d.id = top.id
    left join public.source_document_passages p
      on p.org_id = filter_org_id and p.document_id = top.id and p.position = top.passage
    left join public.client_documents c on c.org_id = filter_org_id and c.document_id = d.id
   order by top.distance, d.id
$$;

create function public.match_client_intelligence(
  query_embedding extensions.vector, match_count int, filter_org_id uuid, min_similarity float default 0
) returns table (
  id uuid, client_id uuid, client_name text, summary text, profile jsonb, as_of timestamptz, similarity float
) language sql stable set search_path = '' as $$
  with scored as (
    select c.id, case when c.embedding_model = m.active then c.embedding operator(extensions.<=>) query_embedding end as distance
      from public.client_intelligence c join public.embedding_models m on m.org_id = c.org_id
     where c.org_id = filter_org_id and c.retired_at is null and c.embedding_model = m.active
  )
  select c.id, c.client_id, c.client_name, c.summary, c.profile, c.as_of, 1 - scored.distance
    from scored join public.client_intelligence c on c.org_id = filter_org_id and c.id = scored.id
   where 1 - scored.distance >= min_similarity
   order by scored.distance, c.id
   limit match_count
$$;

-- The words themselves: names, numbers and codes that a vector blurs. Best first.
create function public.find_source_documents(query_text text, match_count int, filter_org_id uuid)
returns table (
  id uuid, source_id uuid, provider text, document_type text, title text, passage int, content text, content_hash bytea,
  url text, source_updated_at timestamptz, client_id uuid, rank float
) language sql stable set search_path = '' as $$
  with words as (
    -- Any of the words: a brief is a paragraph, and no document holds all of it.
    select replace(pg_catalog.plainto_tsquery('simple', query_text)::text, '&', '|')::tsquery as query
  )
  select d.id, d.source_id, d.provider, d.document_type, d.title, 0, d.content, d.content_hash,
         d.url, d.source_updated_at, c.client_id, pg_catalog.ts_rank_cd(d.search_text, words.query, 1)::float
    from words
    join public.source_documents d on d.search_text @@ words.query
    left join public.client_documents c on c.org_id = d.org_id and c.document_id = d.id
   where d.org_id = filter_org_id and d.deleted_at is null
   order by 12 desc, d.id
   limit match_count
$$;

revoke all on function public.match_source_documents, public.match_client_intelligence, public.find_source_documents
  from public, anon;
grant execute on function public.match_source_documents, public.match_client_intelligence, public.find_source_documents
  to authenticated, boots_worker;
