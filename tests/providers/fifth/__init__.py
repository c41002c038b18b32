"""A fifth provider, added as docs/providers.md tells: its adapter, and a small MCP server of somebody else's."""
