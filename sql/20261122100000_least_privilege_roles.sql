-- Who may do what. The owner migrates and nothing else.
--   boots_worker    runs the pipeline; sees one organisation at a time, the one named in app.org_id.
--   boots_web       serves the pages; owns nothing, becomes `authenticated` inside each transaction.
--   boots_dispatch  cannot log in; owns the functions that list and claim work across organisations, and has
--                   policies on jobs, schedules, connections and queues only, never on documents or secrets.

do $$
begin
  if to_regrole('boots_worker') is null then create role boots_worker login; end if;
  if to_regrole('boots_web') is null then create role boots_web login noinherit; end if;
  if to_regrole('boots_dispatch') is null then create role boots_dispatch nologin; end if;
  -- Postgres 16 tells apart inheriting a role's rights and becoming it; before, noinherit does.
  if current_setting('server_version_num')::int >= 160000 then
    execute 'grant authenticated to boots_web with inherit false, set true';
  else
    execute 'grant authenticated to boots_web';
  end if;
  execute format('grant boots_dispatch to %I', current_user);
end
$$;

alter role boots_worker set statement_timeout = '60s';
alter role boots_worker set lock_timeout = '5s';
alter role boots_worker set idle_in_transaction_session_timeout = '60s';
alter role boots_web set statement_timeout = '5s';
alter role boots_web set lock_timeout = '2s';
alter role boots_web set idle_in_transaction_session_timeout = '30s';

revoke create on schema public from public;
grant usage on schema private, auth to boots_worker, boots_web, boots_dispatch;
grant usage on schema public to boots_worker, boots_web, boots_dispatch;
-- For the length of the migrations: a function's new owner must be able to create in its schema.
grant create on schema private, public to boots_dispatch;

create function private.current_org() returns uuid language sql stable set search_path = '' as $$
  select nullif(current_setting('app.org_id', true), '')::uuid
$$;
revoke all on function private.current_org() from public;
grant execute on function private.current_org() to boots_worker, boots_web;

grant select on public.organizations, public.org_brain, public.proposals, public.jobs, public.connected_sources,
  public.ingestion_jobs, public.source_documents, public.client_intelligence, public.source_attribution
  to boots_worker;
grant insert, update on public.source_documents, public.client_intelligence to boots_worker;
grant insert on public.source_attribution to boots_worker;
grant update on public.proposals, public.jobs to boots_worker;
grant update (status, status_message, access_token_vault_id, refresh_token_vault_id, scopes, token_expires_at, updated_at)
  on public.connected_sources to boots_worker;

create policy worker on public.organizations for select to boots_worker
  using (id = (select private.current_org()));
create policy worker on public.org_brain for select to boots_worker
  using (org_id = (select private.current_org()));
create policy worker on public.proposals to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));
create policy worker on public.jobs to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));
create policy worker on public.connected_sources to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));
create policy worker on public.ingestion_jobs to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));
create policy worker on public.source_documents to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));
create policy worker on public.client_intelligence to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));
create policy worker on public.source_attribution to boots_worker
  using (org_id = (select private.current_org())) with check (org_id = (select private.current_org()));

grant select on public.organizations, public.organization_members to boots_dispatch;
grant select, insert, update on public.connected_sources, public.ingestion_jobs to boots_dispatch;
grant select, update on public.jobs to boots_dispatch;
create policy dispatch on public.organizations for select to boots_dispatch using (true);
create policy dispatch on public.organization_members for select to boots_dispatch using (true);
create policy dispatch on public.connected_sources to boots_dispatch using (true) with check (true);
create policy dispatch on public.ingestion_jobs to boots_dispatch using (true) with check (true);
create policy dispatch on public.jobs to boots_dispatch using (true) with check (true);

create function private.is_org_admin(p_org_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.organization_members
                  where org_id = p_org_id and user_id = (select auth.uid()) and role in ('owner', 'admin'))
$$;
alter function private.is_org_admin(uuid) owner to boots_dispatch;
revoke all on function private.is_org_admin(uuid) from public;
grant execute on function private.is_org_admin(uuid) to boots_web;
