"""What starts runs: the ingestion queue, proposal jobs, the schedules."""
