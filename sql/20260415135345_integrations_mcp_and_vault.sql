-- Sprint, part 2: where a connection's MCP server is, and which secrets of the vault belong to it.
-- The secrets themselves are never here: `authenticated` gets no right on the new columns but scopes.

alter table public.connected_sources
  add column mcp_server_url text,
  add column access_token_vault_id uuid,
  add column refresh_token_vault_id uuid,
  add column scopes text[] not null default '{}',
  add column token_expires_at timestamptz;

grant select (scopes) on public.connected_sources to authenticated;
