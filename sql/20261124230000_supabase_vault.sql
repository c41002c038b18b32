-- Tokens in Supabase Vault, where the database has it; elsewhere nobody calls these functions, and the envelope in
-- private.app_secrets is used.
--
-- The vault itself is open to the owner alone: who may read its view reads every tenant's tokens. So the pipeline and the
-- pages get three functions instead, which open one connection's two secrets. Each secret is named after organisation,
-- connection and purpose, and the name is compared at every read: Vault's own seal is bound to the secret's id only,
-- so without that a row which points at another id would open another tenant's token.

-- The caller's organisation, as for private.app_secrets: the worker's own, or one whose admin the user is now.
create function private.vault_secret_name(p_org_id uuid, p_connection_id uuid, p_purpose text) returns text
language plpgsql stable security definer set search_path = '' as $$
begin
  if p_org_id is distinct from private.current_org()
     or not (pg_has_role(session_user, 'boots_worker', 'member') or private.is_org_admin(p_org_id))
     or p_purpose not in ('access', 'refresh') then
    raise exception 'not this organisation''s secret' using errcode = '42501';
  end if;
  return format('boots/org:%s/connection:%s/%s', p_org_id, p_connection_id, p_purpose);
end
$$;

-- vault.create_secret writes what it is given to the heap and to the WAL before it encrypts it (seen on 0.3.1), so it is
-- given a placeholder; vault.update_secret encrypts first.
create function private.vault_store(p_org_id uuid, p_connection_id uuid, p_purpose text, p_token text) returns uuid
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_name text := private.vault_secret_name(p_org_id, p_connection_id, p_purpose);
  v_id uuid;
begin
  select id into v_id from vault.secrets where name = v_name;
  if not found then
    v_id := vault.create_secret('pending', v_name);
  end if;
  perform vault.update_secret(v_id, p_token);
  return v_id;
end
$$;

-- By id, since the view decrypts every row that it is asked for. Null when this is no secret of the connection.
create function private.vault_read(p_org_id uuid, p_connection_id uuid, p_purpose text, p_id uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
  v_name text := private.vault_secret_name(p_org_id, p_connection_id, p_purpose);
begin
  return (select decrypted_secret from vault.decrypted_secrets where id = p_id and name = v_name);
end
$$;

create function private.vault_delete(p_org_id uuid, p_connection_id uuid) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_access text := private.vault_secret_name(p_org_id, p_connection_id, 'access');
  v_refresh text := private.vault_secret_name(p_org_id, p_connection_id, 'refresh');
begin
  delete from vault.secrets where name in (v_access, v_refresh);
end
$$;

-- Whether the database has the vault, by signature: 0.2 sealed in another way. Who may not enter its schema cannot look.
create function private.has_supabase_vault() returns boolean
language sql stable security definer set search_path = '' as $$
  select to_regprocedure('vault.create_secret(text, text, text, uuid)') is not null
     and to_regprocedure('vault.update_secret(uuid, text, text, text, uuid)') is not null
$$;

-- A connection that is deleted, with its organisation for example, takes its secrets along; the envelope's follow by a
-- foreign key, which the vault cannot have.
create function private.forget_vault_secrets() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if to_regclass('vault.secrets') is not null then
    delete from vault.secrets
     where name in (format('boots/org:%s/connection:%s/access', old.org_id, old.id),
                    format('boots/org:%s/connection:%s/refresh', old.org_id, old.id));
  end if;
  return null;
end
$$;
create trigger forget_vault_secrets after delete on public.connected_sources
  for each row execute function private.forget_vault_secrets();

revoke all on function private.vault_secret_name, private.vault_store, private.vault_read, private.vault_delete,
  private.has_supabase_vault, private.forget_vault_secrets from public;
grant execute on function private.vault_store, private.vault_read, private.vault_delete,
  private.has_supabase_vault to boots_worker, boots_web;
