-- Sessions of the pages. The cookie is signed, but a signature cannot be taken back: a session is what this table still
-- has, so that signing out ends it for whoever kept a copy of the cookie.

create table private.web_sessions (
  id_hash bytea primary key,
  user_id uuid not null,
  org_id uuid not null references public.organizations on delete cascade,
  email text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index web_sessions_org on private.web_sessions (org_id);
create index web_sessions_expires on private.web_sessions (expires_at);
alter table private.web_sessions enable row level security;
alter table private.web_sessions force row level security;
revoke all on private.web_sessions from public;
grant select, insert, delete on private.web_sessions to boots_dispatch;
create policy dispatch on private.web_sessions to boots_dispatch using (true) with check (true);

-- Who was verified just now begins a session in an organisation of his: the claims say who, the members table where.
create function private.begin_session(p_id_hash bytea, p_org_id uuid, p_email text, p_life interval) returns void
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_user uuid := private.user_id();
begin
  if not exists (select from public.organization_members where org_id = p_org_id and user_id = v_user) then
    raise exception 'no member' using errcode = '42501';
  end if;
  delete from private.web_sessions where expires_at < clock_timestamp();
  insert into private.web_sessions (id_hash, user_id, org_id, email, expires_at)
    values (p_id_hash, v_user, p_org_id, p_email, clock_timestamp() + p_life);
end
$$;

-- Whose session this is, as what he is in his organisation now; nothing when it has ended or he has left.
create function private.session_person(p_id_hash bytea)
returns table (user_id uuid, email text, org_id uuid, org_slug text, org_name text, time_zone text, role text)
language sql stable security definer set search_path = '' as $$
  select s.user_id, s.email, o.id, o.slug, o.name, o.time_zone, m.role
    from private.web_sessions s
    join public.organizations o on o.id = s.org_id
    join public.organization_members m on m.org_id = s.org_id and m.user_id = s.user_id
   where s.id_hash = p_id_hash and s.expires_at > clock_timestamp()
$$;

create function private.end_session(p_id_hash bytea) returns void
language sql volatile security definer set search_path = '' as $$
  delete from private.web_sessions where id_hash = p_id_hash
$$;

grant create on schema private to boots_dispatch;
alter function private.begin_session(bytea, uuid, text, interval) owner to boots_dispatch;
alter function private.session_person(bytea) owner to boots_dispatch;
alter function private.end_session(bytea) owner to boots_dispatch;
revoke create on schema private from boots_dispatch;
revoke all on function private.begin_session, private.session_person, private.end_session from public;
grant execute on function private.begin_session, private.session_person, private.end_session to boots_web;
