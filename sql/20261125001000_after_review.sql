-- What a second pair of eyes found. Who ends a connection waits for a token that is being renewed: before, the renewed token
-- was deleted unseen, and the one before it was given back to the provider. And whoever may call the searches may call
-- what they begin with: on Supabase that is service_role, too.

create or replace function private.connection_secrets(p_org_id uuid, p_provider text)
returns table (source_id uuid, access_secret uuid, refresh_secret uuid, account_id text)
language plpgsql volatile security definer set search_path = '' as $$
begin
  if not private.is_org_admin(p_org_id) then
    raise exception 'only an admin disconnects' using errcode = '42501';
  end if;
  return query
    select s.id, s.access_token_vault_id, s.refresh_token_vault_id, s.external_account_id from public.connected_sources s
     where s.org_id = p_org_id and s.provider = p_provider for no key update;
end
$$;

do $$
declare
  caller regrole;
begin
  for caller in
    select distinct grantee from pg_proc, aclexplode(proacl)
     where pronamespace = 'public'::regnamespace and grantee <> proowner and grantee <> 0
       and proname in ('match_source_documents', 'match_client_intelligence', 'find_source_documents')
  loop
    execute format('grant usage on schema private to %s', caller);
    execute format('grant execute on function private.require_organisation(uuid) to %s', caller);
  end loop;
end
$$;
