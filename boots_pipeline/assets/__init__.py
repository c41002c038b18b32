"""What exists, what it is made from, what it reports: one file per table."""
