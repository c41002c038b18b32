"""Imported by the fork server alone, before anything is forked from it: what must be so in it, and not in its runs.

Where all of a code server's processes are told to end, it stays until the runs have told it how they ended, and goes
with the code server. Where the offline model makes the vectors it is read here: 0.2 s that each run would take.
"""

import os
import signal

from boots_pipeline.definitions import defs
from boots_pipeline.resources.embedder import WordllamaEmbedder

signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))

embedder = (defs.resources or {}).get("embedder")
if isinstance(embedder, WordllamaEmbedder):
    embedder.load()
