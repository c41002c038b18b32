"""Boots' knowledge of its customers' clients.

A connection made in `oauth_app` puts a sync into a queue; a sensor turns it into a Dagster run; the run pulls the
provider's records through its MCP server, keeps them, embeds them and rolls them up into one profile per client;
proposals are written from those profiles, and say which knowledge informed which section.
"""
