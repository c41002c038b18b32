-- A stand-in for Supabase Vault 0.3.1, whose C extension does not run here: its table, its view, its functions to the
-- signature, its habit of writing what it is given before it seals it, and its grants. The cipher is a toy that seals and
-- notices changes; the real one is checked by `boots doctor`, on a real server.
create schema vault;
create table vault.secrets (
  id uuid primary key default gen_random_uuid(),
  name text,
  description text not null default '',
  secret text not null,
  key_id uuid,
  nonce bytea default uuid_send(gen_random_uuid()),
  created_at timestamptz not null default current_timestamp,
  updated_at timestamptz not null default current_timestamp
);
create unique index on vault.secrets (name) where name is not null;

create function vault.toy_stream(message bytea, additional bytea, nonce bytea) returns bytea
language plpgsql immutable set search_path = '' as $$
declare
  result bytea := message;
  pad bytea;
begin
  for i in 0 .. length(message) - 1 loop
    if i % 32 = 0 then
      pad := sha256(nonce || additional || int4send(i));
    end if;
    result := set_byte(result, i, get_byte(message, i) # get_byte(pad, i % 32));
  end loop;
  return result;
end
$$;
create function vault._crypto_aead_det_noncegen() returns bytea language sql as $$ select uuid_send(gen_random_uuid()) $$;
create function vault._crypto_aead_det_encrypt(
  message bytea, additional bytea, key_id bigint, context bytea = 'pgsodium', nonce bytea = null
) returns bytea language sql immutable set search_path = '' as $$
  select sha256(nonce || additional || message) || vault.toy_stream(message, additional, nonce)
$$;
create function vault._crypto_aead_det_decrypt(
  message bytea, additional bytea, key_id bigint, context bytea = 'pgsodium', nonce bytea = null
) returns bytea language plpgsql immutable set search_path = '' as $$
declare
  plain bytea := vault.toy_stream(substr(message, 33), additional, nonce);
begin
  if sha256(nonce || additional || plain) <> substr(message, 1, 32) then
    raise exception 'pgsodium_crypto_aead_det_decrypt_by_id: invalid ciphertext' using errcode = '22000';
  end if;
  return plain;
end
$$;

create view vault.decrypted_secrets as
  select id, name, description, secret,
         convert_from(vault._crypto_aead_det_decrypt(decode(secret, 'base64'), convert_to(id::text, 'utf8'), 0,
           'pgsodium', nonce), 'utf8') as decrypted_secret,
         key_id, nonce, created_at, updated_at
    from vault.secrets;

create function vault.create_secret(
  new_secret text, new_name text = null, new_description text = '', new_key_id uuid = null
) returns uuid language plpgsql security definer set search_path = '' as $$
declare
  rec record;
begin
  insert into vault.secrets (secret, name, description) values (new_secret, new_name, new_description) returning * into rec;
  update vault.secrets s
     set secret = encode(vault._crypto_aead_det_encrypt(convert_to(rec.secret, 'utf8'), convert_to(s.id::text, 'utf8'), 0,
                  'pgsodium', rec.nonce), 'base64')
   where id = rec.id;
  return rec.id;
end
$$;
create function vault.update_secret(
  secret_id uuid, new_secret text = null, new_name text = null, new_description text = null, new_key_id uuid = null
) returns void language plpgsql security definer set search_path = '' as $$
begin
  update vault.secrets s
     set secret = case when new_secret is null then s.secret
                  else encode(vault._crypto_aead_det_encrypt(convert_to(new_secret, 'utf8'), convert_to(s.id::text, 'utf8'),
                       0, 'pgsodium', s.nonce), 'base64') end,
         name = coalesce(new_name, s.name), description = coalesce(new_description, s.description),
         updated_at = now()
   where s.id = secret_id;
end
$$;
revoke all on all functions in schema vault from public;
