"""Names of people that are terms of medicine: they stay in a report where no title or signature says that a person is meant."""

import re

__all__ = ["EPONYMS", "EPONYM_PAIRS", "is_eponym"]

# By where the names come from. Anatomical terms are those beside the Terminologia Anatomica that reports still use, diseases and
# signs those of textbooks of radiology and of internal medicine, classifications those of the societies and first papers that
# define them, operations and devices those of textbooks of surgery.
EPONYMS = {
    "anatomy": """
        Achilles Adamkiewicz Arantius Arcuatus Auerbach Bartholin Bauhin Bellini Bertin Bichat Bochdalek Botallo Bowman Broca
        Brodmann Calot Cantlie Chopart Cloquet Corti Cowper Denonvilliers Douglas Drummond Eustachi Eustach Fallopi Galen
        Gartner Gasser Gerota Gimbernat Glisson Guyon Hartmann Haversian Havers Heister Henle Hering Hesselbach Heubner Highmore
        His Hoffa Humphry Kerckring Kiesselbach Killian Kohlrausch Krause Labbé Lacuna Langerhans Larrey Lisfranc Littré
        Ludloff Luschka Magendie Malpighi Meckel Meibom Meissner Mohrenheim Monro Morgagni Morison Müller-Gang Oddi Pacchioni
        Pecquet Petit Peyer Poirier Poupart Purkinje Ranvier Rathke Reil Retzius Riedel Riolan Rokitansky Rolando Rosenmüller
        Rosenthal Rouvière Santorini Scarpa Schlemm Sharpey Sibson Spieghel Spigel Stensen Sylvius Tenon Thebesius Todaro
        Traube Treitz Trolard Valsalva Vater Virchow Waldeyer Waldayer Warton Wernicke Wharton Willis Winslow Wirsung Wolff
        Wrisberg Zuckerkandl
    """,
    "diseases": """
        Addison Albers-Schönberg Alzheimer Aschoff Asperger Asherman Ballantyne Banti Barlow-Krankheit Barrett Basedow Bechterew
        Behçet Behcet Bekhterev Binswanger Boeck Boerhaave Bouveret Bourneville Bowen Brown-Séquard Budd-Chiari Buerger Burkitt
        Caisson Caplan Caroli Charcot Chiari Churg-Strauss Conn Cowden Creutzfeldt-Jakob Crohn Cronkhite-Canada Cushing Dandy-Walker
        De-Quervain Quervain Devic Down Dressler Duchenne Dupuytren Ebstein Ehlers-Danlos Eisenmenger Erdheim-Chester Erb Ewing
        Fahr Fallot Fanconi Felty Fitz-Hugh-Curtis Forestier Freiberg Gardner Gaucher Goodpasture Gorham Gorlin Grawitz
        Graves Guillain-Barré Haglund Hashimoto Heerfordt Hippel-Lindau Lindau Hippel Hirschsprung Hodgkin Horner Horton Hunter
        Huntington Hurler Kahler Kaposi Kartagener Kawasaki Kienböck Kienbock Klatskin Klippel-Feil Klippel-Trenaunay Köhler
        Krukenberg Kümmell Ledderhose Leigh Lemierre Leriche Lewy Lhermitte-Duclos Libman-Sacks Loeffler Löffler Löfgren Lynch
        Lyme Maffucci Mallory-Weiss Marfan May-Thurner McCune-Albright Meigs Mendelson Ménétrier Menetrier Ménière Menière Meniere
        Mikulicz Mirizzi Mönckeberg Mondor Morton Moyamoya Münchmeyer Neer Nelson Niemann-Pick Ollier Ormond Osgood-Schlatter
        Osler Paget Pancoast Panner Parkinson Perthes Peutz-Jeghers Peyronie Pick Plummer Pompe Pott Potter Pringle Raynaud
        Recklinghausen Reiter Rendu Reye Ribbing Roemheld Sandifer Scheuermann Schlatter Schmorl Schwannom Sever Sheehan
        Simmonds Sinding-Larsen Sjögren Sjogren Stargardt Stauffer Steele-Richardson Steinert Still Sturge-Weber Sudeck
        Swyer-James Takayasu Takotsubo Tarlov Tietze Tolosa-Hunt Tourette Turcot Turner Vogt-Koyanagi Wallenberg Warthin Waterhouse
        Wegener Werlhof Whipple Wilms Wilson Winiwarter Yao Zenker Zollinger-Ellison
    """,
    "signs and lesions": """
        Andersson Babinski Baker Balkan Bankart Bennett Blumberg Bouchard Brodie Cobb Chance Chilaiditi Codman Colles Cooper
        Courvoisier Dawson Essex-Lopresti Galeazzi Gantzer Golden Goutallier Haberland Hampton Hangman Harrison Heberden Hegglin
        Hill-Sachs Hounsfield Hounsfield-Einheiten House Hutchinson Jefferson Jones Kerley Kellgren Kernohan Kilgus Kocher Köhler
        Lasègue Lasegue Liessmann Looser Luschka Maisonneuve Mach Malgaigne McBurney Mercedes Monteggia Murphy Naboth
        Nicoladoni Pellegrini-Stieda Perilunar Perkin Phrygian Pirani Posadas Psoas-Zeichen Puestow Rigler Romberg Romanus
        Rosving Rovsing Segond Shenton Sister Mary-Joseph Smith-Fraktur Stieda Terry-Thomas Thomsen Tillaux Tossy Trendelenburg
        Tullio Trousseau Volkmann Wagstaffe Weaver Westermark Wimberger
    """,
    "classifications": """
        Agatston Allman Anderson Ann-Arbor Apgar Arbor Ahlbäck Atlanta Balthazar Barcelona Bethesda Bigliani Bismuth Bormann
        Borrmann Bosniak Breslow Child Child-Pugh Clark Clavien-Dindo Corlette Couinaud Crawford Dallas DeBakey Dixon Dukes Durie
        Elston-Ellis Evans Fazekas Ficat Fielding Fisher Fleischner Forrest Fredet Fuhrman Garden Gleason Glasgow Goldman Gustilo
        Hansen Hardy Haggitt Helsinki Herring Hinchey Hunt Hess Ishak Jupiter Karnofsky Kellgren-Lawrence Koos Lauge Lauren
        Lown Lugano Mallampati Mason Mayo Meyers Milan Modic Moorehead Neer Nyhus Outerbridge Parks Pauwels Pfirrmann Pirogov
        Pipkin Ranson Rentrop Robson Rockwood Rutherford Salter-Harris Salter Sanders Schatzker Scheltens Schizas Siewert
        Snyder Spetzler-Martin Stanford Steinbrocker Stoller Svensson Tanner Thompson Todani Tönnis Vaughan-Jackson Weber
        Wiberg Winquist Zurich
    """,
    "operations and devices": """
        Abbe Allen Bentall Billroth Blalock-Taussig Bricker Burch Bühlau Cabrol Charnley Clagett Cotrel Dacron Delorme Demers Denver
        Dormia Duhamel Eloesser Fogarty Foley Fontan Girdlestone Glenn Greenfield Hancock Harrington Hickman Heller Hohmann
        Ivor-Lewis Jatene Kasai Kehr Kirschner Kock Kropp Kugel Küntscher Latarjet Lapidus Lewis Lichtenstein Lord Longmire
        Mainz Mitchell Mitrofanoff Moschcowitz Mustard Nissen Norwood Palmaz Partington-Rochelle Port-a-Cath Quénu Ramstedt
        Rastelli Rehn-Delorme Rives Ross Roux Schanz Senning Seldinger Sengstaken Shouldice Shirodkar Stamm Starr-Edwards Swan-Ganz
        Sugarbaker Sugiura Tessier Thiersch Torkildsen Traverso Turnbull Veress Waterston Wertheim Wertheim-Meigs Witzel Zancolli
    """,
}
# First name and surname together are a term.
EPONYM_PAIRS = frozenset({"ann arbor", "austin flint", "austin moore", "charles bonnet", "graham steell", "ivor lewis"})

_NAMES = frozenset(name.lower() for names in EPONYMS.values() for name in names.split())
_PARTS = re.compile(r"[-–]")


def is_eponym(word: str) -> bool:
    """Whether a word, or a part of it between hyphens, is a name that is a term: Crohn, Hill-Sachs, Schmorl-Knoten, BAKERS."""
    word = word.lower().replace("’", "'").removesuffix("'s")
    parts = _PARTS.split(word)
    return any(part in _NAMES or part.removesuffix("s") in _NAMES for part in [word, "-".join(parts[:2]), parts[0]])
