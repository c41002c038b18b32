-- Hosted Supabase keeps extensions in a schema of their own; so does this. pgmq is not here: the
-- migration runner takes the server's extension, or the SQL-only install of the `pgmq` package.

create schema if not exists extensions;
grant usage on schema extensions to public;
create extension if not exists vector with schema extensions;
