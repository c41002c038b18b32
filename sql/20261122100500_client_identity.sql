-- One row of client_intelligence per client. Which client a document is about follows from its keys; the key → client map
-- outlives replays, so that computing everything again gives the same clients.

create table public.client_keys (
  org_id uuid not null references public.organizations (id) on delete cascade,
  key text not null,
  client_id uuid not null,
  primary key (org_id, key)
);
create table public.client_documents (   -- derived; replaced by each roll-up
  org_id uuid not null,
  document_id uuid not null,
  client_id uuid not null,
  primary key (org_id, document_id),
  foreign key (org_id, document_id) references public.source_documents (org_id, id) on delete cascade
);
create index client_documents_client on public.client_documents (org_id, client_id);

alter table public.client_intelligence
  add column client_id uuid not null,
  add column aliases text[] not null default '{}',
  add column domains text[] not null default '{}',
  add column provider_ids jsonb not null default '{}',
  add column document_count int not null default 0,
  add column as_of timestamptz,
  add column content_hash bytea,
  add column embedding_model text,
  add column retired_at timestamptz,
  alter column embedding type extensions.vector,
  alter column embedding set storage plain,
  alter column profile set storage external,
  add unique (org_id, client_id),
  add check ((embedding is null) = (embedding_model is null));
comment on column public.client_intelligence.client_id is
  'UUIDv5 of the organisation and the client''s first strong key; never reused, never recomputed';
comment on column public.client_intelligence.profile is
  '{"facts": [{"name", "value", "as_of", "document_id", "provider", "title"}]}';

alter table public.client_keys enable row level security;
alter table public.client_keys force row level security;
alter table public.client_documents enable row level security;
alter table public.client_documents force row level security;
revoke all on public.client_keys, public.client_documents from public, anon, authenticated;
grant select on public.client_keys, public.client_documents to authenticated;
grant select, insert on public.client_keys to boots_worker;
grant select, insert, update, delete on public.client_documents to boots_worker;
create policy members_read on public.client_keys for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy members_read on public.client_documents for select to authenticated
  using (org_id = any (array(select private.user_org_ids())));
create policy worker on public.client_keys to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));
create policy worker on public.client_documents to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));
