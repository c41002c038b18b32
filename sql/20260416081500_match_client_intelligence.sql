-- Sprint, part 4: the client search that the portal had only in its hosted database, captured in a file.

create or replace function public.match_client_intelligence(
  query_embedding extensions.vector(1536), match_count int, filter_org_id uuid, min_similarity float default 0
) returns table (id uuid, client_name text, summary text, similarity float)
language sql stable set search_path = '' as $$
  select c.id, c.client_name, c.summary, 1 - (c.embedding operator(extensions.<=>) query_embedding)
    from public.client_intelligence c
   where c.org_id = filter_org_id
     and 1 - (c.embedding operator(extensions.<=>) query_embedding) >= min_similarity
   order by c.embedding operator(extensions.<=>) query_embedding
   limit match_count
$$;
revoke all on function public.match_client_intelligence from public, anon;
grant execute on function public.match_client_intelligence to authenticated;
