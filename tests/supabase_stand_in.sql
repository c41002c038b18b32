-- A database as hosted Supabase hands it over, as far as the migrations touch it (run as supabase_admin; the real one is
-- checked by `boots doctor`): `postgres` is no superuser, `auth` and `vault` belong to others, extensions have a schema.
-- Its grants are those of supabase/postgres, migrations/db and ansible/files.
create role postgres login createrole createdb bypassrls;
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to postgres with admin option;
alter database supabase owner to postgres;
grant all on schema public to postgres;

create schema extensions authorization postgres;
create extension vector schema extensions;
grant usage on schema extensions to postgres, anon, authenticated, service_role;

create schema auth;
create table auth.users (id uuid primary key, email text unique, created_at timestamptz);
create function auth.uid() returns uuid language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
                  (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::uuid
$$;
create function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim', true), ''),
                  nullif(current_setting('request.jwt.claims', true), ''))::jsonb
$$;
grant usage on schema auth to anon, authenticated, service_role;
-- Without grant option: `postgres` may use what is Supabase's, and let nobody in.
grant all on schema auth to postgres;
grant all on all tables in schema auth to postgres;
grant execute on all functions in schema auth to postgres;

grant usage on schema vault to postgres with grant option;
grant select, delete on vault.secrets, vault.decrypted_secrets to postgres with grant option;
grant execute on function vault.create_secret, vault.update_secret, vault._crypto_aead_det_decrypt to postgres
  with grant option;
grant execute on function vault.toy_stream to postgres;  -- the real decrypt is C, and calls nothing

-- Supabase grants everything that `postgres` makes in public to the API's roles, and leaves the rest to RLS.
alter default privileges for role postgres in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on functions to anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on sequences to anon, authenticated, service_role;
