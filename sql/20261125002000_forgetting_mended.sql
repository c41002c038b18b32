-- What deleting left behind. Sections of proposals held the quotes and titles of their sources a second time, which
-- nobody read: source_attribution has them, and there they are blanked.

-- (An owner who is no superuser is under the policies of these tables, too, but not for these two statements.)
alter table public.proposals no force row level security;
alter table public.client_intelligence no force row level security;
update public.proposals
   set sections = (select coalesce(jsonb_agg(case jsonb_typeof(section) when 'object' then section - 'claims'
                                             else section end order by place), '[]')
                     from jsonb_array_elements(sections) with ordinality as each (section, place))
 where jsonb_typeof(sections) = 'array' and jsonb_path_exists(sections, '$[*].claims');

-- Clients that were retired before retiring blanked them: as boots_pipeline/knowledge/merge.py does it.
update public.client_intelligence
   set content_hash = null, profile = '{}', summary = '', aliases = '{}', domains = '{}', provider_ids = '{}',
       external_id = null, source_document_id = null, document_count = 0, as_of = null, embedding = null,
       embedding_model = null
 where retired_at is not null;
alter table public.proposals force row level security;
alter table public.client_intelligence force row level security;

-- The deleting role reaches what belongs to a marked connection, or to an organisation that has one, and no more. The last
-- batch clears the mark: Postgres demands that the updated row can still be seen, and a forgotten one can.
drop policy forget on public.connected_sources;
create policy forget_read on public.connected_sources for select to boots_forget
  using (forgetting_since is not null or forgotten_at is not null);
create policy forget_update on public.connected_sources for update to boots_forget
  using (forgetting_since is not null) with check (true);
alter policy forget on public.source_document_passages
  using (exists (select from public.source_documents d
                   join public.connected_sources s on s.org_id = d.org_id and s.id = d.source_id
                  where d.org_id = source_document_passages.org_id and d.id = document_id
                    and s.forgetting_since is not null));
alter policy forget on public.client_intelligence
  using (org_id in (select org_id from public.connected_sources where forgetting_since is not null));
do $$
declare
  of_a_connection text;
begin
  foreach of_a_connection in array array['quarantined_items', 'sync_streams', 'ingestion_jobs'] loop
    execute format('alter policy forget on public.%I using ((org_id, source_id) in '
                   '(select org_id, id from public.connected_sources where forgetting_since is not null))',
                   of_a_connection);
  end loop;
end
$$;

-- Which clients are due, wherever they are, is the dispatcher's question.
revoke select (retired_at) on public.client_intelligence from boots_forget;
revoke select (id, slug) on public.organizations from boots_forget;
drop policy forget on public.organizations;
grant select (org_id, content_hash, retired_at) on public.client_intelligence to boots_dispatch;
create policy dispatch on public.client_intelligence for select to boots_dispatch using (true);
grant create on schema private to boots_dispatch;
alter function private.organisations_to_roll_up() owner to boots_dispatch;
revoke create on schema private from boots_dispatch;
