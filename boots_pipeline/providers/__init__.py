"""Everything that differs between providers, one file each.

`PROVIDERS` is the registry: a provider is known when it stands here, and nowhere else is there a list of them.
"""

from boots_pipeline.providers.base import Provider
from boots_pipeline.providers.gmail import GMAIL
from boots_pipeline.providers.google_drive import GOOGLE_DRIVE
from boots_pipeline.providers.hubspot import HUBSPOT
from boots_pipeline.providers.quickbooks import QUICKBOOKS

PROVIDERS: dict[str, Provider] = {provider.name: provider for provider in (HUBSPOT, GOOGLE_DRIVE, GMAIL, QUICKBOOKS)}
