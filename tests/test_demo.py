"""What the demo says is so: a record that is there and not kept, or kept and not there, ends it, and is named."""

import io

import pytest
from rich.console import Console

from boots_pipeline.local.demo import Demo, Visit
from boots_pipeline.local.postgres import DatabaseUrls
from boots_pipeline.local.supervisor import Local
from boots_pipeline.local.visitor import VisitError, Visitor
from boots_pipeline.settings import Settings
from tests.conftest import Connected


@pytest.mark.parametrize(
    "change",
    [
        "delete from source_documents where document_type = 'contacts' and external_id = (select min(external_id) from "
        "source_documents where document_type = 'contacts')",
        "update source_documents set external_id = '0' where document_type = 'contacts' and external_id = (select "
        "min(external_id) from source_documents where document_type = 'contacts')",
    ],
    ids=["missing", "another"],
)
def test_what_is_not_the_same_ends_it(connected: Connected, urls: DatabaseUrls, change: str) -> None:
    connected.sync()
    demo = Demo(Settings(_env_file=None), Console(file=io.StringIO()))
    local = Local(urls, web="", dagster="", sandbox=connected.outside.url, bridge="", vault_key_file="")
    visits = [Visit(connected.organisation.slug, "Harbour Joinery", Visitor("http://127.0.0.1:1"))]

    def named() -> str:
        with pytest.raises(VisitError) as ended:  # at the other providers, which nobody connected
            demo._compare(local, visits)
        return str(ended.value)

    assert "hubspot" not in named()
    connected.owner.execute(change)
    assert "hubspot's contacts" in named()
    assert demo.result["ok"] is False
