"""The clients' lines of business: what such clients are called, do, worry about and build. All fiction."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Industry:
    """One line of business: what such clients are called, do, worry about and build."""

    code: str  # as HubSpot's `industry` enumeration spells it
    label: str
    nouns: tuple[str, ...]
    does: tuple[str, ...]
    cares: tuple[str, ...]
    places: tuple[str, ...]
    titles: tuple[str, ...]


INDUSTRIES: tuple[Industry, ...] = (
    Industry(
        "HOSPITAL_HEALTH_CARE",
        "Hospital and health care",
        ("Community Hospital", "Health Centre", "Children's Clinic", "Dental Practice", "Hospice"),
        (
            "runs outpatient clinics and two inpatient wards for the surrounding valley",
            "treats families from three towns, with physiotherapy and minor surgery under one roof",
            "looks after long-term patients and gives respite to those who care for them",
        ),
        (
            "infection control and surfaces that can be scrubbed every night",
            "patients who wait for hours and should feel calm while they do",
            "wheelchair users and visitors who cannot read small print",
        ),
        (
            "hospital waiting room",
            "outpatient reception",
            "children's ward",
            "nurses' station",
            "consulting suite",
        ),
        ("Estates Manager", "Head of Facilities", "Ward Sister", "Director of Nursing"),
    ),
    Industry(
        "HOSPITALITY",
        "Hotels and restaurants",
        ("Hotel", "Inn", "Brasserie", "Guest House", "Tea Rooms"),
        (
            "keeps forty bedrooms and a dining room that is booked out every weekend",
            "serves breakfast to walkers and weddings of up to two hundred guests",
            "cooks what its own kitchen garden and the harbour bring that morning",
        ),
        (
            "rooms that stay quiet above a busy bar",
            "a warm first impression and materials that age well",
            "keeping the house open while work goes on",
        ),
        ("hotel lobby", "dining room", "bar and lounge", "wedding barn", "breakfast terrace"),
        ("General Manager", "Owner", "Head of Operations", "Events Manager"),
    ),
    Industry(
        "EDUCATION_MANAGEMENT",
        "Schools and colleges",
        ("Primary School", "Sixth Form College", "Academy", "School of Music", "Nursery"),
        (
            "teaches four hundred pupils in buildings from three different decades",
            "offers evening courses beside its full-time classes",
            "is known for its orchestra and for a science block that needs more space",
        ),
        (
            "work that happens in the holidays and nowhere else",
            "safeguarding, robust fittings and very small budgets",
            "acoustics good enough for lessons and loud enough for lunch",
        ),
        (
            "school library",
            "assembly hall",
            "science laboratory",
            "music practice rooms",
            "sports changing rooms",
        ),
        ("Bursar", "Head Teacher", "Site Manager", "Chair of Governors"),
    ),
    Industry(
        "RETAIL",
        "Shops",
        ("Bookshop", "Outfitters", "Garden Centre", "Bicycle Works", "Department Store"),
        (
            "sells from three high-street branches and a small warehouse",
            "has traded from the same corner since the founder's grandmother opened it",
            "combines a shop floor with a repair workshop that customers can watch",
        ),
        (
            "footfall, and a window that changes every month",
            "fixtures that two people can move before opening time",
            "the same look in every branch without the same floor plan",
        ),
        ("shop floor", "window display", "fitting rooms", "checkout area", "click-and-collect counter"),
        ("Store Director", "Visual Merchandiser", "Buyer", "Operations Lead"),
    ),
    Industry(
        "LAW_PRACTICE",
        "Law firms",
        ("Solicitors", "Chambers", "Legal Partners", "Notaries", "Conveyancing"),
        (
            "advises farms and family businesses on succession and land",
            "handles employment disputes and mediations for the whole county",
            "moved forty lawyers into one building and outgrew it within a year",
        ),
        (
            "confidential conversations that nobody overhears",
            "a sober look, discreet deliveries and punctual trades",
            "archive space that meets its insurer's fire rules",
        ),
        ("client meeting suite", "law library", "mediation rooms", "secure archive", "partners' floor"),
        ("Practice Manager", "Managing Partner", "Office Manager", "Chief Clerk"),
    ),
    Industry(
        "MUSEUMS_AND_INSTITUTIONS",
        "Museums and heritage",
        ("Maritime Museum", "Castle Trust", "Gallery", "Botanic Garden", "Railway Museum"),
        (
            "shows nine centuries of local history in a listed building",
            "lends its collection to schools and restores it in a public workshop",
            "welcomes sixty thousand visitors a year with eleven staff and many volunteers",
        ),
        (
            "listed-building consent and reversible fixings",
            "light, humidity and the safety of what is on show",
            "visitors who arrive by coach and all need the same door",
        ),
        (
            "permanent exhibition",
            "visitor entrance",
            "museum shop",
            "learning studio",
            "conservation workshop",
        ),
        ("Curator", "Director of Visitor Experience", "Collections Manager", "Trustee"),
    ),
    Industry(
        "COMPUTER_SOFTWARE",
        "Software and technology",
        ("Software", "Robotics", "Data Works", "Labs", "Instruments"),
        (
            "builds scheduling software for bus operators",
            "makes sensors that tell farmers when a field needs water",
            "develops teaching robots and rents them to schools",
        ),
        (
            "hybrid teams and rooms where a video call sounds right",
            "hiring: candidates should want to stay after the tour",
            "leases that end soon and furniture that must move along",
        ),
        ("open-plan office", "meeting pods", "prototype workshop", "demo studio", "staff kitchen"),
        ("Chief of Staff", "Workplace Manager", "Founder", "People Lead"),
    ),
    Industry(
        "FOOD_BEVERAGES",
        "Food and drink makers",
        ("Bakery", "Brewery", "Creamery", "Coffee Roasters", "Cider Mill"),
        (
            "supplies sixty cafés before six in the morning",
            "brews in small batches and pours most of it next door",
            "turns milk from nine neighbouring farms into cheese that wins prizes",
        ),
        (
            "hygiene audits without notice",
            "floors, drains and joints that survive hot caustic cleaning",
            "letting visitors watch production without being in the way",
        ),
        ("tasting room", "production hall", "bakery counter", "cold store", "visitor gallery"),
        ("Production Manager", "Head Brewer", "Quality Manager", "Owner"),
    ),
    Industry(
        "REAL_ESTATE",
        "Housing and property",
        ("Housing Association", "Lettings", "Estates", "Property Partners", "Almshouses"),
        (
            "manages eleven hundred homes, a third of them sheltered housing",
            "converts mills and chapels into flats and keeps what was worth keeping",
            "lets small offices and workshops to companies in their first years",
        ),
        (
            "tenants who stay at home while the work is done",
            "thermal comfort and low running costs",
            "one specification that repeats over many blocks",
        ),
        ("entrance lobby", "communal lounge", "stair cores", "show flat", "resident workshop"),
        ("Asset Manager", "Development Surveyor", "Housing Officer", "Head of Maintenance"),
    ),
    Industry(
        "LEISURE_TRAVEL_TOURISM",
        "Leisure and sport",
        ("Leisure Centre", "Climbing Hall", "Theatre", "Golf Club", "Marina"),
        (
            "runs two pools, a gym and a hall that hosts the county finals",
            "stages nine productions a year and tours two of them",
            "rents berths and holds a regatta that fills the town",
        ),
        (
            "wet feet, loud children and closing times after midnight",
            "memberships that lapse when changing rooms look tired",
            "crowds that must leave safely in under five minutes",
        ),
        ("changing village", "foyer and box office", "clubhouse bar", "spectator gallery", "climbing café"),
        ("Centre Manager", "Artistic Director", "Club Secretary", "Harbour Master"),
    ),
    Industry(
        "LOGISTICS_AND_SUPPLY_CHAIN",
        "Logistics and transport",
        ("Freight", "Couriers", "Bus Company", "Ferries", "Cold Chain"),
        (
            "moves chilled goods between the port and the inland markets overnight",
            "carries commuters across the estuary every twenty minutes",
            "delivers parcels by cargo bike inside the old town walls",
        ),
        (
            "uptime: a closed dock costs more than the whole contract",
            "safety lines, sight lines and drivers who speak many languages",
            "night shifts that need daylight colours and warm rooms",
        ),
        ("drivers' lounge", "ticket hall", "loading bay", "dispatch office", "passenger terminal"),
        ("Depot Manager", "Head of Safety", "Fleet Manager", "Terminal Manager"),
    ),
    Industry(
        "NON_PROFIT_ORGANIZATION_MANAGEMENT",
        "Charities and communities",
        ("Food Bank", "Community Trust", "Animal Rescue", "Youth Club", "Parish Council"),
        (
            "feeds four hundred households a week from a former garage",
            "keeps the village hall, the playing field and the last post office going",
            "rehomes old dogs and runs a clinic for those who cannot pay a vet",
        ),
        (
            "donors who ask what every pound was spent on",
            "volunteers who come and go and need things to be obvious",
            "grant deadlines that decide when work can start",
        ),
        ("village hall", "drop-in kitchen", "youth room", "charity shop", "animal reception"),
        ("Trustee", "Project Coordinator", "Fundraising Lead", "Clerk to the Council"),
    ),
)
