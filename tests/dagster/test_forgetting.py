"""After an admin had it deleted: what the pages left is finished, and a roll-up runs until no profile rests on it."""

from collections.abc import Callable

import dagster as dg
import psycopg

from boots_pipeline.ingestion.forgetting import Forgetting
from boots_pipeline.knowledge.embedding import embed_pending
from boots_pipeline.knowledge.rollup import roll_up
from boots_pipeline.resources.database import Database
from boots_pipeline.resources.embedder import WordllamaEmbedder
from boots_pipeline.sensors.forgetting import forgetting
from tests.conftest import Organisation
from tests.knowledge.library import Library
from tests.knowledge.records import company


def tick(instance: dg.DagsterInstance, database: Database) -> list[dg.RunRequest]:
    with dg.build_sensor_context(instance=instance) as context:
        result = forgetting(context, forgotten=Forgetting(database))
    assert isinstance(result, dg.SensorResult)
    return list(result.run_requests or [])


def test_deleted_documents_leave_the_profiles(
    instance: dg.DagsterInstance,
    database: Database,
    embedder: WordllamaEmbedder,
    owner: psycopg.Connection,
    organisation: Organisation,
    new_organisation: Callable[..., Organisation],
) -> None:
    others = new_organisation("others")
    for each in (organisation, others):
        Library(owner, each.id).keep("hubspot", "companies", "1", company(1, "Cliff School", "domain:cliff.example"))
        instance.add_dynamic_partitions("orgs", [each.slug])
        owner.execute("insert into embedding_models (org_id, active) values (%s, %s)", [each.id, embedder.model])
        embed_pending(database, embedder, each.id)
        roll_up(database, embedder, each.id)
    assert tick(instance, database) == []

    owner.execute(
        """update connected_sources set status = 'revoked', forgetting_since = now() - interval '2 minutes'
            where org_id = %s""",
        [organisation.id],
    )
    # Another one, marked before, cannot be finished: it is in nobody's way.
    stuck = new_organisation("stuck")
    Library(owner, stuck.id).connection("gmail")
    owner.execute(
        """update connected_sources set status = 'revoked', forgetting_since = now() - interval '1 hour'
            where org_id = %s""",
        [stuck.id],
    )
    owner.execute(
        "alter table connected_sources add constraint stuck check (forgotten_at is null or provider <> 'gmail')"
    )
    (request,) = tick(instance, database)
    assert request.partition_key == organisation.slug
    assert [key.to_user_string() for key in request.asset_selection or []] == ["client_intelligence"]
    assert owner.execute("select org_id from source_documents").fetchall() == [{"org_id": others.id}]

    (failure,) = Forgetting(database).finish().failures
    assert "Postgres error 23514 (connected_sources, stuck)" in failure

    assert tick(instance, database), "a run that came to nothing is followed by another"
    roll_up(database, embedder, organisation.id)
    assert tick(instance, database) == []
    clients = owner.execute(
        """select org_id, profile, retired_at is not null as retired from client_intelligence
            order by retired_at nulls first"""
    ).fetchall()
    assert [(row["org_id"], row["retired"]) for row in clients] == [(others.id, False), (organisation.id, True)]
    assert clients[1]["profile"] == {}
