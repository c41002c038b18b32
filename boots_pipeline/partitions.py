"""The one partitioning there is: an organisation, by its slug, which never changes and is never given to another."""

import dagster as dg

orgs = dg.DynamicPartitionsDefinition(name="orgs")
