"""The sync engine: pull → sanitise → normalise → keep → tombstone. Never imports dagster."""
