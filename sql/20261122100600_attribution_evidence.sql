-- What an attribution rests on: the document as it was read, with the quote. A document that belongs to no client is a
-- target of its own. Evidence stays outside the exactly-one check and inside the uniqueness.

alter table public.source_attribution
  add column source_document_id uuid,
  add column evidence_document_id uuid,
  add column evidence_passage int,
  add column evidence_quote text check (length(evidence_quote) <= 2000),
  add column evidence_content_hash bytea,
  add column evidence_title text,
  add column evidence_provider text,
  add column evidence_as_of timestamptz,
  add foreign key (org_id, source_document_id) references public.source_documents (org_id, id),
  add foreign key (org_id, evidence_document_id) references public.source_documents (org_id, id),
  drop constraint source_attribution_one_target,
  add constraint source_attribution_one_target
    check (num_nonnulls(org_brain_id, client_intelligence_id, source_document_id) = 1),
  drop constraint source_attribution_once,
  add constraint source_attribution_once unique nulls not distinct
    (org_id, proposal_id, section, agent_role, org_brain_id, client_intelligence_id, source_document_id,
     evidence_document_id, evidence_passage, evidence_quote);
create index source_attribution_source_document on public.source_attribution (org_id, source_document_id);
create index source_attribution_evidence on public.source_attribution (org_id, evidence_document_id);
