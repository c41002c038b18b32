-- Makes nothing: says what is missing where the portal has not made what the files of sql/ build on, or where one of the
-- sprint's first two files was applied by hand with other text and is only assumed to have been.

do $$
declare
  missing text;
begin
  select string_agg(format('public.%s.%s', needed.of_table, needed.of_column), ', ') into missing
    from (values
      ('organizations', 'id', null), ('organizations', 'slug', null), ('organizations', 'name', null),
      ('organizations', 'time_zone', null),
      ('organization_members', 'org_id', null), ('organization_members', 'user_id', null),
      ('organization_members', 'role', null),
      ('client_intelligence', 'id', null), ('client_intelligence', 'org_id', null),
      ('client_intelligence', 'client_name', null), ('client_intelligence', 'profile', null),
      ('client_intelligence', 'summary', null), ('client_intelligence', 'embedding', null),
      ('org_brain', 'id', null), ('org_brain', 'org_id', null),
      ('proposals', 'id', null), ('proposals', 'org_id', null), ('proposals', 'created_by', null),
      ('proposals', 'status', null),
      ('jobs', 'id', null), ('jobs', 'org_id', null), ('jobs', 'job_type', null), ('jobs', 'payload', null),
      ('jobs', 'status', null), ('jobs', 'attempts', null), ('jobs', 'locked_by', null), ('jobs', 'locked_at', null),
      ('connected_sources', 'id', '20260414212813'), ('connected_sources', 'org_id', '20260414212813'),
      ('connected_sources', 'provider', '20260414212813'), ('connected_sources', 'status', '20260414212813'),
      ('connected_sources', 'status_message', '20260414212813'),
      ('connected_sources', 'connected_by', '20260414212813'),
      ('connected_sources', 'last_synced_at', '20260414212813'),
      ('ingestion_jobs', 'id', '20260414212813'), ('ingestion_jobs', 'org_id', '20260414212813'),
      ('ingestion_jobs', 'source_id', '20260414212813'), ('ingestion_jobs', 'kind', '20260414212813'),
      ('ingestion_jobs', 'status', '20260414212813'),
      ('source_attribution', 'id', '20260414212813'), ('source_attribution', 'org_id', '20260414212813'),
      ('source_attribution', 'proposal_id', '20260414212813'), ('source_attribution', 'section', '20260414212813'),
      ('source_attribution', 'org_brain_id', '20260414212813'),
      ('connected_sources', 'mcp_server_url', '20260415135345'),
      ('connected_sources', 'access_token_vault_id', '20260415135345'),
      ('connected_sources', 'refresh_token_vault_id', '20260415135345'),
      ('connected_sources', 'scopes', '20260415135345'), ('connected_sources', 'token_expires_at', '20260415135345')
    ) needed (of_table, of_column, since)
   where (since is null or exists (select from supabase_migrations.schema_migrations where version = since))
     and not exists (select from information_schema.columns c
                      where c.table_schema = 'public' and c.table_name = needed.of_table
                        and c.column_name = needed.of_column);
  if missing is not null then
    raise exception 'this database lacks %: add what is missing as the files of sql/ and sql/local/ have it', missing;
  end if;
  if to_regprocedure('private.user_org_ids()') is null then
    raise exception 'this database lacks private.user_org_ids(): make it as sql/local/030_portal_before_the_sprint.sql has it';
  end if;
end
$$;
