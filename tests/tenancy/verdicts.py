"""Who may do what: the verdicts that test_matrix.py holds the database to, by doing it. What is new needs a line here.

The callers, from left to right:
  anon    nobody, as Supabase's API calls nobody              pages   boots_web itself, for an admin of A who names A
  A, B    a member of organisation A, of organisation B       forger  boots_web itself, for an admin of A who names B
  gone    who was a member of A until yesterday               disp    boots_dispatch, which owns functions, no login
  worker  boots_worker in a transaction of A                  audit   boots_audit, which owns one function, no login
  forget  boots_forget, no login, while A's connection is being forgotten at its admin's word, and another was before
  owner   a table's owner who is neither superuser nor above the policies

A table has four signs a caller, for select, insert, update and delete:
  SIUD    the rows of his own organisation and no other's; none can be put into, or moved to, another
  siud    some rows of his own organisation
  .       refused: no grant                         +   some rows of every organisation
  0       refused by the policies, or no row met    *   every row, whoever owns it; or rows that are nobody's
A function has one: x may call it, . may not.
"""

TABLES = """
                                      anon   A      B      gone   worker pages  forger disp   audit  forget owner
auth.users                            ....   ....   ....   ....   ....   ....   ....   *...   ....   ....   ****
pgmq.a_ingestion_dlq                  ....   ....   ....   ....   ....   ....   ....   ****   ....   ....   ****
pgmq.a_ingestion_queue                ....   ....   ....   ....   ....   ....   ....   ****   ....   ....   ****
pgmq.meta                             ....   ....   ....   ....   ....   ....   ....   *...   ....   ....   ****
pgmq.notify_insert_throttle           ....   ....   ....   ....   ....   ....   ....   ....   ....   ....   ****
pgmq.q_ingestion_dlq                  ....   ....   ....   ....   ....   ....   ....   ****   ....   ....   ****
pgmq.q_ingestion_queue                ....   ....   ....   ....   ....   ....   ....   ****   ....   ....   ****
pgmq.topic_bindings                   ....   ....   ....   ....   ....   ....   ....   ....   ....   ....   ****
private.app_secrets                   ....   ....   ....   ....   SIUD   SIUD   0000   ....   ....   ....   0000
private.heartbeats                    ....   ....   ....   ....   ....   ....   ....   ***.   ....   ....   0000
private.oauth_states                  ....   ....   ....   ....   ....   ....   ....   ****   ....   ....   0000
private.rate_budgets                  ....   ....   ....   ....   ....   ....   ....   ****   ....   ....   ****
private.vault_keys                    ....   ....   ....   ....   **..   **..   **..   ....   ....   ....   ****
private.web_sessions                  ....   ....   ....   ....   ....   ....   ....   **.*   ....   ....   0000
public.client_documents               ....   S...   S...   0...   SIUD   ....   ....   ....   ....   S..D   0000
public.client_intelligence            ....   S...   S...   0...   SIU.   ....   ....   *...   *...   S.U.   0000
public.client_keys                    ....   S...   S...   0...   SI..   ....   ....   ....   ....   S..D   0000
public.connected_sources              ....   SI..   SI..   00..   S.U.   ....   ....   ***.   *...   S.u.   0000
public.embedding_models               ....   S...   S...   0...   SIU.   ....   ....   ....   *...   ....   0000
public.ingestion_jobs                 ....   S...   S...   0...   S.U.   ....   ....   ***.   *...   s.u.   0000
public.ingestion_seen                 ....   ....   ....   ....   SIUD   ....   ....   ....   ....   S..D   0000
public.jobs                           ....   SI..   SI..   00..   S.U.   ....   ....   *.*.   ....   ....   0000
public.org_brain                      ....   S...   S...   0...   S...   ....   ....   ....   ....   ....   0000
public.organization_members           ....   S...   S...   0...   ....   ....   ....   *...   ....   ....   0000
public.organizations                  ....   S...   S...   0...   S...   ....   ....   *...   *...   ....   0000
public.proposals                      ....   SI..   SI..   00..   S.U.   ....   ....   ....   ....   ....   0000
public.quarantined_items              ....   S...   S...   0...   SIUD   ....   ....   *.*.   ....   s..d   0000
public.source_attribution             ....   S...   S...   0...   SI..   ....   ....   ....   ....   S.U.   0000
public.source_document_passages       ....   S...   S...   0...   SIUD   ....   ....   +..+   *...   s..d   0000
public.source_documents               ....   S...   S...   0...   SIU.   ....   ....   +.+.   *...   S.ud   0000
public.sync_schedules                 ....   S...   S...   0...   S...   ....   ....   ****   ....   ....   0000
public.sync_streams                   ....   S...   S...   0...   SIUD   ....   ....   *..*   ....   s..d   0000
supabase_migrations.schema_migrations ....   ....   ....   ....   ....   ....   ....   ....   ....   ....   ****
"""

# Functions that share a name share a line; pgmq's are one.
FUNCTIONS = """
                                      anon   A      B      gone   worker pages  forger disp   audit  forget
auth.jwt                              x      x      x      x      x      x      x      x      .      .
auth.uid                              x      x      x      x      x      x      x      x      .      .
pgmq.*                                .      .      .      .      .      .      .      x      .      .
private.account_is_connected          .      .      .      .      .      x      x      x      .      .
private.ask_to_forget                 .      .      .      .      .      x      x      x      .      .
private.attempts_to_connect           .      x      x      x      .      .      .      x      .      .
private.begin_connection              .      .      .      .      .      x      x      x      .      .
private.begin_session                 .      .      .      .      .      x      x      x      .      .
private.bury_sync_message             .      .      .      .      .      .      .      x      .      .
private.cancel_live_sync              .      .      .      .      .      .      .      x      .      .
private.claim_job                     .      .      .      .      x      .      .      x      .      .
private.claim_sync                    .      .      .      .      x      .      .      x      .      .
private.claim_sync_by_hand            .      .      .      .      x      .      .      x      .      .
private.complete_connection           .      .      .      .      .      x      x      x      .      .
private.connected_organisations       .      .      .      .      x      .      .      x      .      .
private.connection_secrets            .      .      .      .      .      x      x      x      .      .
private.consume_oauth_state           .      .      .      .      .      x      x      x      .      .
private.current_org                   .      .      .      .      x      x      x      .      .      .
private.disconnect_source             .      .      .      .      .      x      x      x      .      .
private.drop_deleted_content          .      .      .      .      x      .      .      x      .      .
private.end_abandoned_attempts        .      .      .      .      x      .      .      x      .      .
private.end_session                   .      .      .      .      .      x      x      x      .      .
private.enqueue_due_syncs             .      .      .      .      x      .      .      x      .      .
private.enqueue_sync                  .      .      .      .      x      .      .      x      .      .
private.fail_connection               .      .      .      .      .      x      x      x      .      .
private.fail_pending_connection       .      .      .      .      .      x      x      x      .      .
private.finish_forgetting             .      .      .      .      x      .      .      .      .      x
private.finish_sync                   .      .      .      .      x      .      .      x      .      .
private.forget_batch                  .      .      .      .      .      .      .      .      .      x
private.forget_ingested               .      .      .      .      .      x      x      .      .      x
private.has_supabase_vault            .      .      .      .      x      x      x      .      .      .
private.hold_budget                   .      .      .      .      x      .      .      x      .      .
private.is_org_admin                  .      .      .      .      .      x      x      x      .      x
private.last_seen                     .      x      x      x      .      x      x      x      .      .
private.leased_jobs                   .      .      .      .      x      .      .      x      .      .
private.local_users                   .      .      .      .      .      x      x      x      .      .
private.marked_to_forget              .      .      .      .      x      .      .      .      .      x
private.next_due                      .      .      .      .      .      .      .      x      .      .
private.note_alive                    .      .      .      .      x      .      .      x      .      .
private.organisation_id               .      .      .      .      x      .      .      x      .      .
private.organisations_to_roll_up      .      .      .      .      x      .      .      x      .      .
private.postpone_sync_message         .      .      .      .      x      .      .      x      .      .
private.proposal_waits                .      .      .      .      .      .      .      x      .      .
private.proposal_work                 .      .      .      .      x      .      .      x      .      .
private.queue_answers                 .      .      .      .      .      x      x      x      .      .
private.read_sync_messages            .      .      .      .      x      .      .      x      .      .
private.release_sync                  .      .      .      .      x      .      .      x      .      .
private.renew_sync_lease              .      .      .      .      x      .      .      x      .      .
private.request_sync                  .      .      .      .      .      x      x      x      .      .
private.require_organisation          .      x      x      x      x      .      .      .      .      .
private.resend_lost_messages          .      .      .      .      .      .      .      x      .      .
private.retry_left_out                .      .      .      .      .      x      x      x      .      .
private.send_sync_message             .      .      .      .      .      .      .      x      .      .
private.session_person                .      .      .      .      .      x      x      x      .      .
private.spend_budget                  .      .      .      .      x      .      .      x      .      .
private.standing_checks               .      .      .      .      x      .      .      .      x      .
private.user_id                       .      .      .      .      .      .      .      x      .      .
private.user_org_ids                  .      x      x      x      .      .      .      x      .      .
private.vault_delete                  .      .      .      .      x      x      x      .      .      .
private.vault_read                    .      .      .      .      x      x      x      .      .      .
private.vault_secret_name             .      .      .      .      .      .      .      .      .      .
private.vault_store                   .      .      .      .      x      x      x      .      .      .
private.wider_sync                    .      .      .      .      .      .      .      x      .      .
public.claim_next_job                 .      .      .      .      x      .      .      x      .      .
public.find_source_documents          .      x      x      x      x      .      .      .      .      .
public.match_client_intelligence      .      x      x      x      x      .      .      .      .      .
public.match_source_documents         .      x      x      x      x      .      .      .      .      .
"""

# Where a grant names columns, these they are. Nobody but the owner and the dispatcher writes mcp_server_url.
COLUMNS = """
client_documents          boots_forget   select  client_id document_id org_id
client_intelligence       boots_audit    select  client_id org_id profile retired_at
client_intelligence       boots_dispatch select  content_hash org_id retired_at
client_intelligence       boots_forget   select  client_id content_hash org_id source_document_id
client_intelligence       boots_forget   update  content_hash source_document_id
client_keys               boots_forget   select  key org_id
connected_sources         authenticated  insert  connected_by org_id provider
connected_sources         authenticated  select  connected_at connected_by created_at external_account_id
                                                 external_account_name forgetting_since forgotten_at id last_synced_at
                                                 org_id provider scopes status status_message updated_at
connected_sources         boots_audit    select  connected_at id org_id provider status
connected_sources         boots_forget   select  forgetting_since id org_id provider status
connected_sources         boots_forget   update  external_account_id external_account_name forgetting_since
                                                 forgotten_at last_synced_at updated_at
connected_sources         boots_worker   update  access_token_vault_id external_account_id external_account_name
                                                 refresh_token_vault_id scopes status status_message token_expires_at
                                                 updated_at
ingestion_jobs            boots_audit    select  created_at error_class finished_at id lease_until message_id org_id
                                                 source_id status
ingestion_jobs            boots_forget   select  id org_id source_id
ingestion_jobs            boots_forget   update  checkpoint
ingestion_jobs            boots_worker   update  attempt checkpoint documents_added documents_changed
                                                 documents_embedded documents_removed documents_unchanged
                                                 items_expected items_mended items_quarantined items_seen stage
ingestion_seen            boots_forget   select  job_id org_id
jobs                      authenticated  insert  job_type org_id payload
organizations             boots_audit    select  id slug
proposals                 authenticated  insert  brief created_by org_id status title
quarantined_items         boots_dispatch update  attempts
quarantined_items         boots_forget   select  org_id source_id
source_attribution        boots_forget   select  evidence_document_id evidence_gone id org_id source_document_id
source_attribution        boots_forget   update  evidence_gone evidence_quote evidence_title
source_document_passages  boots_audit    select  document_id embedding_model org_id
source_document_passages  boots_forget   select  document_id org_id
source_documents          boots_audit    select  deleted_at embedding_model id org_id passage_count
source_documents          boots_dispatch select  deleted_at id org_id raw_payload
source_documents          boots_dispatch update  content embedding embedding_model facts passage_count raw_payload
source_documents          boots_forget   select  client_keys content deleted_at id org_id raw_payload source_id title
                                                 url
source_documents          boots_forget   update  client_keys content content_hash deleted_at embedding embedding_model
                                                 facts names_client passage_count payload_hash raw_payload
                                                 source_updated_at title updated_at url vanished_at version
sync_streams              boots_forget   select  org_id source_id
"""
