-- Documents as the sync engine keeps them, their further passages, and which model made which vector.
-- Models differ in dimension (256 offline, 1536 OpenAI), so the vector columns lose theirs; with no dimension
-- there is no shared HNSW index, which exact search beats anyway at these sizes (docs/decisions.md).

drop index public.source_documents_embedding;
drop index public.client_intelligence_embedding_idx;
drop function public.match_source_documents;
drop function public.match_client_intelligence;

alter table public.source_documents
  alter column embedding type extensions.vector,
  -- Up to 1,900 dimensions stay in the row, so that a scan never leaves it.
  alter column embedding set storage plain,
  -- pglz is 64 % of the cost of COPY; text and payload go out of line as they are.
  alter column content set storage external,
  alter column raw_payload set storage external,
  add column url text,
  add column payload_hash bytea not null,
  add column embedding_model text,
  add column passage_count int not null default 1,
  add column client_keys text[] not null default '{}',
  add column names_client boolean not null default false,
  add column facts jsonb not null default '[]',
  add column deleted_at timestamptz,
  add column search_text tsvector generated always as
    (to_tsvector('simple', left(title, 2000) || ' ' || left(content, 60000))) stored,
  add check ((embedding is null) = (embedding_model is null));
alter table public.source_documents set (toast_tuple_target = 256);

comment on column public.source_documents.client_keys is
  'Which clients it is about, strongest first: hubspot.company:512, email:a@b.example, domain:b.example';
comment on column public.source_documents.names_client is
  'It is the record of a client (a company, a customer), not only about one';
comment on column public.source_documents.facts is
  'What a structured record states: [{"name", "value", "as_of"}], made by the provider''s pure function';

create table public.source_document_passages (
  org_id uuid not null,
  document_id uuid not null,
  position int not null check (position > 0),
  content text not null,
  embedding extensions.vector,
  embedding_model text,
  primary key (org_id, document_id, position),
  foreign key (org_id, document_id) references public.source_documents (org_id, id) on delete cascade,
  check ((embedding is null) = (embedding_model is null))
);
alter table public.source_document_passages
  alter column embedding set storage plain,
  alter column content set storage external;

-- One active model an organisation; a target while it is changing.
create table public.embedding_models (
  org_id uuid primary key references public.organizations (id) on delete cascade,
  active text not null,
  target text,
  updated_at timestamptz not null default now()
);

alter table public.source_document_passages enable row level security;
alter table public.source_document_passages force row level security;
alter table public.embedding_models enable row level security;
alter table public.embedding_models force row level security;
revoke all on public.source_document_passages, public.embedding_models from public, anon, authenticated;
grant select on public.source_document_passages, public.embedding_models to authenticated;
grant select, insert, update, delete on public.source_document_passages to boots_worker;
grant select, insert, update on public.embedding_models to boots_worker;
create policy members_read on public.source_document_passages for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy members_read on public.embedding_models for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy worker on public.source_document_passages to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));
create policy worker on public.embedding_models to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));

create index source_documents_unembedded on public.source_documents (org_id)
  where embedding is null and deleted_at is null;
