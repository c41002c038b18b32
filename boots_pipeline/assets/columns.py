"""The columns of the tables as the Dagster UI shows them: what each one means, in a line."""

import dagster as dg


def _schema(**columns: str) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, told.partition(": ")[0], description=told.partition(": ")[2])
            for name, told in columns.items()
        ]
    )


SOURCE_DOCUMENTS = _schema(
    org_id="uuid: the organisation; every key begins with it",
    source_id="uuid: the connection that it came through",
    document_type="text: the provider's stream, for example companies",
    external_id="text: its id at the provider",
    title="text: what a person would call it",
    content="text: the text that is searched and quoted",
    raw_payload="jsonb: as received, but for what Postgres cannot hold",
    content_hash="bytea: of title and content; an attribution keeps the one that was read",
    payload_hash="bytea: of the payload without the parts that move by themselves",
    embedding="vector: of its opening passage",
    embedding_model="text: the model that made the vector",
    client_keys="text[]: which clients it is about, strongest first",
    facts="jsonb: what a structured record states outright",
    deleted_at="timestamptz: when it vanished at the provider",
)

PASSAGES = _schema(
    org_id="uuid: the organisation",
    document_id="uuid: the document",
    position="int: 1 is the second passage; the first is the document's own row",
    content="text: the passage",
    embedding="vector: of the passage under its title",
    embedding_model="text: the model that made the vector",
)

CLIENT_INTELLIGENCE = _schema(
    org_id="uuid: the organisation",
    client_id="uuid: the client, for ever: from its first strong key",
    client_name="text: unique in the organisation",
    aliases="text[]: its names in other systems",
    domains="text[]: its domains",
    profile="jsonb: facts, each with its document and date",
    summary="text: the paragraph that is embedded",
    document_count="int: how many living documents it rests on",
    as_of="timestamptz: the newest change among them",
    retired_at="timestamptz: when its last document went; never deleted",
)
