-- The vault on plain Postgres: sealed tokens (AES-256-GCM, a data key a row, wrapped by a key that is never in
-- the database). What is sealed is bound to organisation, connection, purpose and version, so that a row
-- moved elsewhere does not open.

create table private.app_secrets (
  id uuid not null,
  org_id uuid not null,
  connection_id uuid not null,
  purpose text not null check (purpose in ('access', 'refresh')),
  version int not null default 1,
  key_id text not null,
  wrapped_key bytea not null,
  body bytea not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  unique (org_id, connection_id, purpose),
  foreign key (org_id, connection_id) references public.connected_sources (org_id, id) on delete cascade
);
-- One row a key: a fingerprint, so that a wrong key is refused at start and not at the first refresh.
create table private.vault_keys (
  key_id text primary key,
  fingerprint bytea not null,
  created_at timestamptz not null default now()
);

alter table private.app_secrets enable row level security;
alter table private.app_secrets force row level security;
grant select, insert, update, delete on private.app_secrets to boots_worker, boots_web;
create policy one_organisation on private.app_secrets to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));
-- The pages name the organisation themselves, so for them the members table has the last word.
create policy an_admins_organisation on private.app_secrets to boots_web
  using (org_id = (select private.current_org()) and (select private.is_org_admin((select private.current_org()))))
  with check (org_id = (select private.current_org()) and (select private.is_org_admin((select private.current_org()))));
grant select, insert on private.vault_keys to boots_worker, boots_web;
