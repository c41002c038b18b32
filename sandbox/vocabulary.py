"""The words that the world is made of. Nothing but words: `fiction.py` puts them together.

All of it is fiction. Persons, towns and companies are glued together from invented parts, domains end in
`.example`, telephone numbers come from the range that is reserved for drama.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Trade:
    """What one of our own customers sells. `{place}` is a place of the client's industry."""

    label: str
    works: tuple[str, ...]
    scopes: tuple[str, ...]
    constraints: tuple[str, ...]


TRADES: dict[str, Trade] = {
    "joinery": Trade(
        "Joinery and interior fit-out",
        (
            "refurbishment of the {place}",
            "fitted oak storage for the {place}",
            "acoustic panelling in the {place}",
            "a new reception desk in the {place}",
            "built-in seating for the {place}",
            "fire doors around the {place}",
            "restored sash windows in the {place}",
        ),
        (
            "Survey, drawings, workshop manufacture and installation in two phases.",
            "Ash and birch ply throughout, water-based lacquer, all fixings concealed.",
            "Strip-out by others; we measure on site, build in the workshop and fit within nine days.",
            "Includes curved counters at two heights, cable management and a lockable back unit.",
            "Cabinets on adjustable feet so that the floor can be replaced later.",
        ),
        (
            "Dust and noise only between 18:00 and 06:00.",
            "FSC-certified timber is a condition of the grant.",
            "Everything must come up one narrow stair.",
            "A mock-up of one bay has to be approved before production starts.",
        ),
    ),
    "signage": Trade(
        "Signs and wayfinding",
        (
            "wayfinding for the {place}",
            "illuminated lettering above the {place}",
            "tactile signs in the {place}",
            "a printed wall mural for the {place}",
            "digital directory screens in the {place}",
            "vinyl graphics during the refurbishment of the {place}",
            "a heritage plaque trail ending at the {place}",
        ),
        (
            "Site audit, sign schedule, artwork, manufacture and installation.",
            "Folded aluminium trays, push-through acrylic, warm white LED on a light sensor.",
            "Forty-two signs in two languages with pictograms and braille.",
            "Removable magnetic panels so that room names can change without us.",
            "Fascia, two projecting signs and window film, with all consents applied for.",
        ),
        (
            "Planning consent is needed before anything touches the facade.",
            "Night installation from a cherry picker, with the pavement kept open.",
            "Colours must pass a contrast check for low vision.",
            "The old letters are to be kept and handed back.",
        ),
    ),
}

TOWN_STEMS = (
    "Lark",
    "Wex",
    "Brin",
    "Thorn",
    "Ald",
    "Cresh",
    "Fen",
    "Hallow",
    "Mar",
    "Oster",
    "Pell",
    "Quen",
    "Rush",
    "Sal",
    "Tarn",
    "Ulver",
    "Vell",
    "Whin",
    "Yar",
    "Zell",
    "Corv",
    "Dunmer",
    "Eskel",
    "Gorse",
)
TOWN_ENDINGS = ("mere", "combe", "ford", "wick", "dale", "holt", "stead", "gate", "haven", "moor")

COUNTRIES = (
    ("United Kingdom", "GBP"),
    ("United Kingdom", "GBP"),
    ("United Kingdom", "GBP"),
    ("Ireland", "EUR"),
)

FIRST_NAMES = (
    "Tavrin",
    "Orsa",
    "Mirel",
    "Bramlo",
    "Ysolde",
    "Pindar",
    "Quilla",
    "Fenno",
    "Zephine",
    "Dorrik",
    "Elvane",
    "Hesper",
    "Jorvin",
    "Kessa",
    "Lumen",
    "Nerith",
    "Ottoline",
    "Perrin",
    "Runa",
    "Sorrel",
    "Tibba",
    "Umber",
    "Vesper",
    "Wilmot",
    "Zoëlle",
    "Łucjar",
    "Ñalu",
    "Øyvara",
)
SURNAME_STARTS = (
    "Quill",
    "Thimble",
    "Bramble",
    "Lantern",
    "Copper",
    "Marsh",
    "Fennel",
    "Otter",
    "Puddle",
    "Candle",
    "Hazel",
    "Button",
    "Cobble",
    "Ember",
    "Gable",
    "Nettle",
    "Pepper",
    "Teasel",
    "Wicker",
    "Saffron",
)
SURNAME_ENDINGS = (
    "wick",
    "march",
    "feather",
    "stone",
    "worth",
    "bottom",
    "whistle",
    "thatch",
    "kettle",
    "brook",
)

TIMINGS = (
    "before the spring opening",
    "over the summer closure",
    "in the first quarter of next year",
    "in three stages, so that half stays open",
    "as soon as the grant is confirmed",
    "before the lease ends",
)

OPENINGS = ("{name} {does}.", "From {city}, {name} {does}.", "{name}, based in {city}, {does}.")
CARES = (
    "It cares most about {cares}.",
    "What decides every purchase here is {cares}.",
    "Its first concern is {cares}.",
)
PLANS = (
    "It is planning {work} {timing}.",
    "Next on its list is {work}, {timing}.",
    "The board has approved {work}, to be done {timing}.",
)
HISTORY = (
    "They came to us through a recommendation.",
    "An earlier quote of ours was lost on price.",
    "They have ordered from us twice and paid on time.",
    "They compare three bidders as a rule.",
    "They ask for drawings early and read them closely.",
)
BRIEFS = (
    "{name} asks for {work}. {scope} {constraint} Wanted {timing}.",
    "Brief: {work} for {name} in {city}. {scope} Wanted {timing}. {constraint}",
    "{scope} The subject is {work}; what matters to them is {cares}. {constraint}",
)
NOTES = (
    "Prefers a call before nine. Asked about {work}.",
    "Decides together with the finance lead; wants {work} {timing}.",
    "Met at the trade fair; worried about {cares}.",
    "Signs orders up to 20,000 alone. Likes short e-mails.",
    "Out on Fridays. Has visited the workshop and liked the samples.",
)
REVISIONS = (
    "Update: the budget was raised after the last meeting.",
    "Update: they now want the work {timing}.",
    "Update: a second site has been added to the scope.",
    "Update: {cares} has become the deciding point.",
)
