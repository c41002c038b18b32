-- Not applied by `boots migrate`: the column's last readers live in the portal's own code.
alter table public.org_brain drop column embedding;
