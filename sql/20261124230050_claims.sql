-- Who the claims of this transaction name, for functions that belong to boots_dispatch. Hosted Supabase keeps the schema
-- `auth` to itself: its `postgres` may use it and cannot let others in, so there a function of ours that called
-- auth.uid() failed. Policies for `authenticated` call auth.uid() as ever.

create function private.user_id() returns uuid language sql stable set search_path = '' as $$
  select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
                  nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
$$;
revoke all on function private.user_id() from public;
grant execute on function private.user_id() to boots_dispatch;

-- The bodies stay as the earlier files wrote them, but for this one call.
do $$
declare
  body text;
begin
  for body in
    select replace(pg_get_functiondef(p.oid), 'auth.uid()', 'private.user_id()')
      from pg_proc p
     where p.proowner = 'boots_dispatch'::regrole and p.prosrc like '%auth.uid()%'
  loop
    execute body;
  end loop;
end
$$;
