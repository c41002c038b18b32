"""Numbers of things in words: `1 company`, `1,204 contacts`."""


def counted(number: int, things: str) -> str:
    """How many there are of what is named in the plural; `things` may be a document type."""
    # The names are ours, in plain English: no provider's word comes here.
    many = things.replace("_", " ")
    one = f"{many[:-3]}y" if many.endswith("ies") else many.removesuffix("s")
    return f"{number:,} {one if number == 1 else many}"
