"""Invented names: companies, the people who look after them, features, campaigns."""

from app.clients.models import Industry
from app.demo.rows import FeatureRow, stream
from app.usage.models import FeatureCategory

OWNERS = (
    "amara.diallo@csm.example",
    "bruno.keller@csm.example",
    "chiara.lindqvist@csm.example",
    "deniz.aksoy@csm.example",
    "elin.murphy@csm.example",
    "farid.novak@csm.example",
)

# Every stem is used once, so that a search for a client's first word finds one client.
_STEMS = """
Aldermoor Ambrivo Arvenna Ashgrove Åsmark Äppelholm Ávila-Torres Bellhaven Birkstad Bluecairn Borealis-Nord Brightmere
Brontec Calderis Camberlyn Castelnau Cedarwick Cinderpoint Clairvaux Cobaltine Corvanta Crestonia Çeşmeli Dalmore
Darrowby Delphine Dornfeld Dovetree Dunmarrow Eastonbury Eichwald Eldermoss Elmsgate Emberline Esperança Évariste
Fairholt Farrowdale Felsenburg Fennimore Fjordvik Florentis Foxglen Galloway-Reed Garnetta Glenhaven Goldmere Granitor
Greywater Grünthal Halcyra Harrowgate Hartwell Havelmark Hazelbrook Helvetis Hjälmaren Holloway-Finch Ibexia
Ikaros-Vey Inverlaith Ironvale Ivorydale Jademont Jasperine Jörnvik Junipera Kaldera Kestrelle Kingsbarrow Kirkwald
Kléber-Roux Kobaltwerk Königshain Larkspur Laurenza Lindenau Lochmere Lumenara Łąkowski Maplethorpe Marlowe-Hay
Meridane Mistralis Monteluce Moorfield Müggelsee Nettlecombe Nordhaven Northquay Novaterra Ñandú Oakenshaw Obsidia
Oldenmark Olivette Onyxa Orchardine Ørskov Ostara Pellworm Pembrey Pinecrest Polarisse Porthcawl Primavelle
Quarrystone Quillon Quintessa Ravenmoor Redfern Rivermead Rochefleur Rosewater Rowanfell Ruhrstein Saffronel
Salinger-Voss Sandholm Sequoiar Silverlode Skagerholm Solvanta Søndergård Stellarbrook Stonebridge Summerlin Tamarisk
Tavistone Terranova-Lux Thistledown Thornbury Tideswell Tramontana Trelawney Ullswater Umbriel Uphill-Marsh Valmont
Vantoria Verdigris Västerås-Lund Vesperline Vintermark Wallingford Westerly Wexcombe Whitmoor Willowmere
Windhoek-Stahl Wolkental Wyndale Xanthea Yarrowby Ysolde Zandermoor Zephyrine Żeglarz Zinnwald Zürnhof
""".split()  # noqa: SIM905 - One name a line would fill the file.

_TRADES = {
    Industry.FINANCIAL: ("Bank", "Capital", "Insurance", "Credit Union", "Asset Management", "Mutual", "Pensions"),
    Industry.HEALTHCARE: ("Clinics", "Health", "Hospitals", "Pharma", "Diagnostics", "Medical", "Care Group"),
    Industry.TECHNOLOGY: ("Software", "Systems", "Cloud", "Labs", "Robotics", "Networks", "Digital"),
    Industry.MANUFACTURING: ("Industries", "Steel", "Motors", "Tooling", "Ceramics", "Paper", "Packaging"),
    Industry.OTHER: ("Logistics", "Retail", "Energy", "Foods", "Hotels", "University", "Travel"),
}

ATTESTATIONS = (
    "Code of conduct attestation",
    "Conflict of interest declaration",
    "Anti-bribery attestation",
    "Information security attestation",
    "Data protection attestation",
    "Outside activities declaration",
)
OTHER_CAMPAIGNS = (
    "Gifts and hospitality review",
    "Speak-up awareness campaign",
    "Third-party due diligence update",
    "Competition law training",
    "Compliance culture survey",
)

_FEATURES = {
    FeatureCategory.CORE: (
        "Case intake",
        "Case assignment",
        "Attestation campaigns",
        "Policy library",
        "Member directory",
        "Reminders",
        "Audit log",
        "Comments and mentions",
    ),
    FeatureCategory.ADVANCED: (
        "Approval workflows",
        "SLA rules",
        "Risk scoring",
        "Anonymous reporting",
        "Custom forms",
        "Delegation",
    ),
    FeatureCategory.INTEGRATION: (
        "Single sign-on",
        "Directory sync",
        "HR system sync",
        "Chat notifications",
        "REST API",
    ),
    FeatureCategory.REPORTING: (
        "Dashboards",
        "Scheduled reports",
        "Board pack",
        "Data export",
        "Regulator report",
    ),
}


def feature_catalogue() -> list[FeatureRow]:
    """Return the features of the platform, 24 in four categories."""
    return [
        FeatureRow("demo-" + name.lower().replace(" ", "-"), name, category.value)
        for category, names in _FEATURES.items()
        for name in names
    ]


def company_names(seed: int, industries: list[Industry]) -> list[str]:
    """Return one distinct invented company name per industry given, at most as many as there are stems.

    Raises ValueError when there are more industries than stems.
    """
    rng = stream(seed, "names")
    stems = rng.sample(_STEMS, len(industries))
    return [f"{stem} {rng.choice(_TRADES[industry])}" for stem, industry in zip(stems, industries, strict=True)]
