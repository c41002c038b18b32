-- An attempt to connect that nobody finishes is over in the tables, too. Until now the connection stayed pending for ever,
-- and only the pages knew better, by the clock.

-- For the pipeline: pending connections without an attempt whose state still lives fail, with a sentence. A minute is
-- left to a callback that came in time. Returns how many.
create function private.end_abandoned_attempts(p_message text) returns int
language plpgsql volatile security definer set search_path = '' as $$
declare
  v_over constant timestamptz := clock_timestamp() - interval '1 minute';
  v_waiting uuid[];
  v_ended int;
begin
  -- Locked first, and looked at in another statement, which sees what had begun by then. Not FOR NO KEY UPDATE: an
  -- attempt that begins holds its connection by the foreign key alone. Whoever is at one now is left alone.
  v_waiting := array(
    select id from public.connected_sources
     where status = 'pending' and created_at < v_over - interval '10 minutes' for update skip locked);
  update public.connected_sources s
     set status = 'error', status_message = left(p_message, 500), updated_at = clock_timestamp()
   where s.id = any (v_waiting)
     and not exists (select from private.oauth_states o
                      where o.org_id = s.org_id and o.source_id = s.id and o.expires_at > v_over);
  get diagnostics v_ended = row_count;
  return v_ended;
end
$$;

grant create on schema private to boots_dispatch;
alter function private.end_abandoned_attempts(text) owner to boots_dispatch;
revoke create on schema private from boots_dispatch;
revoke all on function private.end_abandoned_attempts(text) from public;
grant execute on function private.end_abandoned_attempts(text) to boots_worker;
