"""A whole Boots on one machine: embedded Postgres, sandbox, pages and Dagster under one supervisor, and the demo.

Development only. Nothing of the product imports from here; the `boots` command does.
"""
