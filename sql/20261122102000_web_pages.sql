-- What the pages need and no role could read so far: where a connection's refresh token is and of which account
-- (to revoke it at the provider when an admin disconnects), and who may use the development sign-in.

grant create on schema private to boots_dispatch;

-- The ids of an admin's own connection and its account; the secrets themselves stay sealed in the vault.
create function private.connection_secrets(p_org_id uuid, p_provider text)
returns table (source_id uuid, access_secret uuid, refresh_secret uuid, account_id text)
language plpgsql stable security definer set search_path = '' as $$
begin
  if not private.is_org_admin(p_org_id) then
    raise exception 'only an admin disconnects' using errcode = '42501';
  end if;
  return query
    select s.id, s.access_token_vault_id, s.refresh_token_vault_id, s.external_account_id from public.connected_sources s
     where s.org_id = p_org_id and s.provider = p_provider;
end
$$;
alter function private.connection_secrets(uuid, text) owner to boots_dispatch;
revoke all on function private.connection_secrets(uuid, text) from public;
grant execute on function private.connection_secrets(uuid, text) to boots_web;

revoke create on schema private from boots_dispatch;

-- Hosted Supabase knows its people and signs them in itself: there nobody can list them.
do $$
begin
  if to_regrole('supabase_admin') is null then
    create function private.local_users()
    returns table (user_id uuid, email text, org_id uuid, org_slug text, org_name text, role text)
    language sql stable security definer set search_path = '' as $f$
      select u.id, u.email, o.id, o.slug, o.name, m.role
        from auth.users u
        join public.organization_members m on m.user_id = u.id
        join public.organizations o on o.id = m.org_id
       order by o.name, o.slug, m.role, u.email
    $f$;
    revoke all on function private.local_users() from public;
    grant execute on function private.local_users() to boots_web;
  end if;
end
$$;
