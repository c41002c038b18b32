-- What deleting left behind. Sections of proposals held the quotes and titles of their sources a second time, which
-- nobody read: source_attribution has them, and there they are blanked.

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
