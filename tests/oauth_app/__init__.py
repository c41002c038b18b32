"""Tests of the pages, against the real database and the real sandbox."""
