"""What the assets and the pages borrow: database, vault, queue, MCP gateway, embedder, language model.

Plain objects that open nothing until they are used. Nothing here imports dagster or flask.
"""
