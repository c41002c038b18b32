"""Imported by the fork server alone, before anything is forked from it: what must be so in it, and not in its runs.

Where all of a code server's processes are told to end, it stays until the runs have told it how they ended, and goes
with the code server. A model's package is read here, for reading it by its name would set up the logging of every run.
"""

import os
import signal

from boots_pipeline.resources.embedder import read_wordllama

signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
read_wordllama()
