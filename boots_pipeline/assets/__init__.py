"""What exists, what it is made from, what it reports; the work is done in `ingestion`, `knowledge` and `agents`.

The assets, one file per table (`source_documents`, `embeddings`, `client_intelligence`); their `checks`; their
`columns` as the UI shows them; the `triggers` by which a derived one runs by itself; the job that writes a `proposal`.
"""
