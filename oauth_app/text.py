"""A section's text as HTML. What a language model or a provider wrote is never trusted: no HTML of its own, no links
and no images; paragraphs, lists, headings, emphasis and code."""

from markdown_it import MarkdownIt
from markupsafe import Markup

_NEVER = ["link", "image", "autolink", "html_block", "html_inline", "reference"]
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable(_NEVER)
_LOWEST = 3  # a section's own heading is an h2


def to_html(text: str) -> Markup:
    """Safe to show."""
    tokens = _MARKDOWN.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, max(_LOWEST, int(token.tag[1]) + _LOWEST - 1))}"
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))  # noqa: S704 escaped by the renderer
