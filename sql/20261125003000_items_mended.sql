-- Records that hold what Postgres cannot (U+0000, half a surrogate pair, NaN) are kept without it. How many a sync met
-- is counted, or nobody would know that what is kept is not to the letter what the provider holds.

alter table public.ingestion_jobs add column items_mended int not null default 0;
comment on column public.ingestion_jobs.items_mended is
  'Records that were kept without what Postgres cannot hold: U+0000, half a surrogate pair, NaN, infinities';
grant update (items_mended) on public.ingestion_jobs to boots_worker;
