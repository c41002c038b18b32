-- Sprint, part 3: the documents that were pulled, their link to client intelligence, attribution to
-- either kind of knowledge, vector search over documents, and the queue of syncs.

create table public.source_documents (
  id uuid not null default gen_random_uuid(),
  org_id uuid not null,
  source_id uuid not null,
  provider text not null,
  document_type text not null,
  external_id text not null,
  title text not null default '',
  content text not null default '',
  raw_payload jsonb,
  content_hash bytea not null,
  embedding extensions.vector(1536),
  source_updated_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  unique (org_id, source_id, document_type, external_id),
  foreign key (org_id, source_id) references public.connected_sources (org_id, id)
);
create index source_documents_embedding on public.source_documents
  using hnsw (embedding extensions.vector_cosine_ops);

alter table public.source_documents enable row level security;
alter table public.source_documents force row level security;
revoke all on public.source_documents from public, anon, authenticated;
grant select on public.source_documents to authenticated;
create policy members_read on public.source_documents for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));

drop index public.client_intelligence_embedding_hnsw;
alter table public.client_intelligence
  add column source_id uuid,
  add column external_id text,
  add column source_document_id uuid,
  add unique (org_id, id),
  add unique (org_id, client_name),
  add foreign key (org_id, source_id) references public.connected_sources (org_id, id),
  add foreign key (org_id, source_document_id) references public.source_documents (org_id, id);
create index client_intelligence_source on public.client_intelligence (org_id, source_id);
create index client_intelligence_source_document on public.client_intelligence (org_id, source_document_id);
alter table public.client_intelligence force row level security;

alter table public.source_attribution
  alter column org_brain_id drop not null,
  add column client_intelligence_id uuid,
  add foreign key (org_id, client_intelligence_id) references public.client_intelligence (org_id, id),
  add constraint source_attribution_one_target check (num_nonnulls(org_brain_id, client_intelligence_id) = 1),
  add constraint source_attribution_once unique nulls not distinct
    (org_id, proposal_id, section, agent_role, org_brain_id, client_intelligence_id);
create index source_attribution_client on public.source_attribution (org_id, client_intelligence_id);

create function public.match_source_documents(
  query_embedding extensions.vector(1536), match_count int, filter_org_id uuid,
  filter_source_id uuid default null, min_similarity float default 0
) returns table (id uuid, title text, content text, similarity float)
language sql stable set search_path = '' as $$
  select d.id, d.title, d.content, 1 - (d.embedding operator(extensions.<=>) query_embedding)
    from public.source_documents d
   where d.org_id = filter_org_id
     and (filter_source_id is null or d.source_id = filter_source_id)
     and 1 - (d.embedding operator(extensions.<=>) query_embedding) >= min_similarity
   order by d.embedding operator(extensions.<=>) query_embedding
   limit match_count
$$;
revoke all on function public.match_source_documents from public, anon;
grant execute on function public.match_source_documents to authenticated;

select pgmq.create('ingestion_queue');
