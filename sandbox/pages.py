"""The few pages that a person sees. Each says that this is the sandbox and that all in it is fiction."""

from jinja2 import Environment, PackageLoader
from starlette.responses import HTMLResponse

PAGES = Environment(loader=PackageLoader("sandbox"), autoescape=True)


def page(template: str, provider: str, status: int = 200, **facts: object) -> HTMLResponse:
    text = PAGES.get_template(template).render(provider=provider, **facts)
    return HTMLResponse(text.encode("utf-8", "replace"), status_code=status, headers={"Cache-Control": "no-store"})
