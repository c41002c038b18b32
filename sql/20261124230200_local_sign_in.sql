-- The development sign-in lists people, for which their organisations are read. Since those tables are under their
-- policies for the owner, too, the list belongs to the dispatcher, which sees the members anyway. Not on Supabase, which
-- signs people in itself.
do $$
begin
  if to_regprocedure('private.local_users()') is not null then
    grant usage on schema auth to boots_dispatch;
    grant select on auth.users to boots_dispatch;
    grant create on schema private to boots_dispatch;
    alter function private.local_users() owner to boots_dispatch;
    revoke create on schema private from boots_dispatch;
  end if;
end
$$;
