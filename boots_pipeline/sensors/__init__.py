"""What starts runs: the ingestion queue, proposal jobs, the schedules; and what tidies up within a tick."""
