-- One connection whose documents cannot be deleted stood in the way of all that were marked after it, for only the oldest
-- mark was ever looked at. Now the pipeline goes through all of them, each in transactions of its own.

drop function private.finish_forgetting(int);

-- For the pipeline: what an admin marked more than a minute ago, so that the pages are not at it any more.
create function private.marked_to_forget() returns table (org_id uuid, source_id uuid)
language sql stable security definer set search_path = '' as $$
  select s.org_id, s.id from public.connected_sources s
   where s.forgetting_since < clock_timestamp() - interval '1 minute' order by s.forgetting_since, s.id
$$;

-- A batch of one of them. True: there may be more.
create function private.finish_forgetting(p_org_id uuid, p_source_id uuid, p_limit int) returns boolean
language sql volatile security definer set search_path = '' as $$
  select coalesce((select private.forget_batch(m.org_id, m.source_id, p_limit) from private.marked_to_forget() m
                    where m.org_id = p_org_id and m.source_id = p_source_id), false)
$$;

grant create on schema private to boots_forget;
do $$
declare
  made text;
begin
  foreach made in array array['marked_to_forget()', 'finish_forgetting(uuid, uuid, int)'] loop
    execute format('alter function private.%s owner to boots_forget', made);
    execute format('revoke all on function private.%s from public', made);
    execute format('grant execute on function private.%s to boots_worker', made);
  end loop;
end
$$;
revoke create on schema private from boots_forget;
