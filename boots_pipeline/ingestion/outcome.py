"""How a sync ended, and how that is said."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from boots_pipeline.counting import counted
from boots_pipeline.ingestion.keep import Kept
from boots_pipeline.ingestion.listing import Verdict
from boots_pipeline.providers.base import Provider


@dataclass
class Outcome:
    """In words and numbers. `status` is the job's, `queued` when it was given back."""

    status: str
    kind: str = "delta"
    error_class: str | None = None
    message: str | None = None
    kept: Kept = field(default_factory=Kept)
    left_out: int = 0  # items in quarantine
    progressed: bool = False  # a batch was written in this run
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def conclude(self, provider: Provider, unavailable: Mapping[str, str]) -> None:
        """Completed, or partial with everything that is missing in one sentence each."""
        missing = [f"{stream} are not available with this grant ({why})" for stream, why in unavailable.items()]
        for stream, verdict in self.verdicts.items():
            if verdict.shortfall:
                more = counted(verdict.shortfall, f"more {stream}")
                missing.append(f"{provider.title} counted {more} than it handed out")
            if verdict.cut:
                missing.append(f"{provider.title} left {counted(verdict.cut, stream)} out of its answers")
            if verdict.vanished:
                gone = counted(verdict.vanished, stream)
                missing.append(f"{gone} vanished at once: kept until the next full listing confirms it")
        if self.left_out:
            missing.append(f"{counted(self.left_out, 'items')} could not be kept")
        self.status = "partial" if missing else "completed"
        self.error_class = "bad_item" if missing else None
        sentence = "; ".join(missing)
        self.message = f"{sentence[0].upper()}{sentence[1:]}." if missing else None
