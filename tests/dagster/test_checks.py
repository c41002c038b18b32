"""The standing checks' own work: what it grows with."""

from uuid import uuid4

import psycopg
import pytest

from boots_pipeline.local.postgres import DatabaseUrls
from tests.conftest import Organisation

FACTS = 6_000


@pytest.fixture
def _after_a_first_sync(owner: psycopg.Connection, organisation: Organisation) -> None:
    """As many facts as documents, in tables of which Postgres knows nothing yet."""
    source = uuid4()
    owner.execute(
        """insert into connected_sources (org_id, id, provider, status, connected_at)
           values (%s, %s, 'hubspot', 'active', now())""",
        [organisation.id, source],
    )
    owner.execute(
        """insert into source_documents (org_id, source_id, provider, document_type, external_id, content,
                                         content_hash, payload_hash)
           select %s, %s, 'hubspot', 'notes', n::text, repeat('A note. ', 150), '', '' from generate_series(1, %s) n""",
        [organisation.id, source, FACTS],
    )
    owner.execute(
        """insert into client_intelligence (org_id, client_id, client_name, profile)
           select org_id, gen_random_uuid(), 'client ' || right(external_id, 2),
                  jsonb_build_object('facts', jsonb_agg(jsonb_build_object('document_id', id)))
             from source_documents group by org_id, right(external_id, 2)""",
    )
    for table in ("source_documents", "client_intelligence"):
        owner.execute("select pg_clear_relation_stats('public', %s)", [table])


@pytest.mark.usefixtures("_after_a_first_sync")
def test_each_fact_is_looked_up_and_compared_with_no_other_document(
    owner: psycopg.Connection, organisation: Organisation, urls: DatabaseUrls
) -> None:
    """0.03 s; when each was compared with every document, 4.5 s."""
    owner.execute("update source_documents set deleted_at = now() where external_id = '7'")
    with psycopg.connect(urls.worker, options="-c statement_timeout=2s") as worker:
        found = worker.execute("select check_name, offending from private.standing_checks(%s)", [organisation.id])
        offending = dict(found.fetchall())
    assert offending["every_fact_has_a_living_source"] == 1
