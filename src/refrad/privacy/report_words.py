"""Words by which a name in a report is told from other words: first names, and words that are no part of a name."""

import re

__all__ = ["FIRST_NAMES", "PARTICLES", "fold_word", "is_common_word", "is_finite_or_adjective"]


def _table(words: str) -> frozenset[str]:
    return frozenset(words.split())


PARTICLES = _table("von van vom de der den zu zur zum del della di da dos du la le el al bin ben ter ten af av")

# Frequent first names of patients and staff in German and English-speaking hospitals; none that is a word of a report as well.
FIRST_NAMES = _table(
    """
    aaron abdullah achim ada adam adele adelheid adnan adrian agata karina agnes ahmed ahmet aicha aischa alan albert albrecht
    alessandro alex alexander alexandra alexandros alexej alfons alfred ali alice alicia alina alois alwin amanda amalia amelie
    amir amy ana anastasia andre andrea andreas andrej andrew andrzej angela angelika angelina anita anja anke ann anna
    annabelle anne annegret anneliese annelore annemarie annett annette annika ansgar anthony antje anton antonia antonio
    arhan ariane armin arne arno arnold artur arzu astrid athanasios aurelia axel ayhan ayse aysel ayşe azra babette barbara
    bärbel bastian beata beate beatrice beatrix ben benedikt benjamin berit bernadette bernard bernd bernhard bert berta bertha
    berthold bertram bettina betty bianca bilal birgit birgitta birte björn bodo bogdan boris brenda brian brigitte britta brunhilde
    bruno burkhard cagla camilla carl carla carlos carmen carol carola carolin caroline carsten catherine cathrin cecilia
    cem charles charlotte chiara christa christel christian christiane christin christina christine christof christoph christopher
    claas claire claudia claudio claus clemens colin conrad constanze corinna cornelia cynthia dagmar dana daniel daniela danuta
    darius dario david deborah denis denise dennis derek detlef detlev diana diane dieter dietmar dietrich dimitri dimitrios
    dirk dominik donald donna dora doreen doris dorothea dorothee dorothy dörte dragan dunja eberhard eckart eckhard
    edda edeltraud edgar edith eduard edward edwin ekaterina elena eleni eleonore elfriede elias elif elisa elisabeth elizabeth
    elke ella ellen elli elmar else elsbeth elvira emilia emilie emily emine emma emre enrico erdal erhard eric erich erik erika
    erna esra esther eugen eugenia eva evelin evelyn ewald fabian fabienne fabio fatih fatima fatma felicitas felix ferdinand
    filip finn florian frances francesca francesco frank franz franziska frauke fred frederik frida frieda friedemann friedhelm
    friedrich fritz gabi gabriel gabriela gabriele gareth gary gebhard geoffrey georg george georgios gerald geraldine gerd gerda
    gerhard gerlinde gernot gert gertraud gertrud gesine gilbert gina gisela giuseppe giovanni gökhan gottfried gottlieb
    graham gregor greta gretchen grzegorz gudrun guido günter günther gunnar guntram gustav hakan halina hanna hannah hannelore
    hannes hans harald harriet harry hartmut hartwig hasan hassan hatice hedwig heidemarie heidi heidrun heike heiko heiner
    heinrich heinz helen helena helene helga helge helmfried helmut hendrik henning henri henriette henrik henry herbert heribert
    hermann hermine herta hertha hilde hildegard hilmar hiltrud holger horst howard hubert hüseyin huberta hugo ian ibrahim ida
    ignaz igor ilka ilona ilse imke ina inga inge ingeborg ingo ingrid irena irene irina irma irmgard irmtraud isabel
    isabella isabelle ismail ivan iwan jack jacob jacqueline jadwiga jakob james jan jana jane janet janina janine janis janusz
    jason jasmin jean jeanette jeffrey jelena jennifer jenny jens jeremy jerzy jessica jill joachim joan joanna jochen joe joel
    johann johanna johannes john jolanta jon jonas jonathan jörg jörn jorge josé josef josefine joseph joshua juan judith julia
    julian juliane julius jürgen juri justin justyna jutta kai kamil karen karim karin karl karla karola karoline karsten kaspar
    katarina katarzyna kate katharina katherine kathleen kathrin katja katrin kay keith kelly kemal kenneth kerstin kevin
    kirsten klara klaus knut konrad konstantin konstantinos korinna kornelia kristin kristina krystyna krzysztof kunigunde kurt
    lars larissa laura lea leah leila lena leo leon leonard leonhard leonie leonore leopold leslie leyla liam liane lidia lieselotte
    lilli lina linda linus lisa lisbeth liselotte ljudmila lorenz lothar louis louise luca lucas lucia ludger ludmila ludwig
    luis luisa lukas luzia lydia lynn maciej magda magdalena maike maja malgorzata malte mandy manfred manuel manuela marc marcel
    marco marcus marek maren margaret margarete margarethe margit margot margret margrit maria mariam marian marianne marie marika
    marina mario marion marija marisa marit marius markus marlene marlies marta martha martin martina marvin mary mateusz
    mathias mathilde matteo matthew matthias maureen maurice maximilian mechthild megan mehdi mehmet melanie melissa merle
    merve meryem michael michaela michail michał michal michele michelle miguel mike milena mira mirco mirjam miroslav
    mohamed mohammed mohammad monica monika monique moritz muhammad murat mustafa nadia nadine nadja nancy natalia natalie natascha
    neil nele nicholas nick nico nicola nicolas nicole nihat nikita niklas nikolai nikolaos nikolaus nils nina nora norbert norman
    oksana olaf oleg olga oliver olivia olivier omar orhan oskar osman oswald oswin otmar otto otmar ottilie owen pablo pamela
    pascal patricia patrick patrik paul paula paulina pauline pavel pedro peggy peer peter petra petros philip philipp philippa
    phyllis pia pierre piotr rachel rafael raimund rainer ralf ralph ramona raphael rebecca rebekka regina regine reiner reinhard
    reinhold renata renate rené renée ricarda ricardo richard rita robert roberto robin rochus roger roland rolf roman ronald
    ronja rosalie rosemarie rosemary rosi roswitha rosina roy rudi rüdiger rudolf rudolph rupert ruth sabine sabrina samuel sandra
    sandro sara sarah sascha saskia sean sebastian selim selina selma serap serdar sergej serkan severin sharon sheila shirley
    sibylle siegbert siegfried sieglinde siegmund sigrid sigrun silja silke silvia simon simona simone sinem slavica snezana sofia
    sofie sonja sophia sophie stanislaw stefan stefania stefanie steffen steffi stephan stephanie stephen steve steven stuart
    susan susann susanna susanne suzanne sven svenja svetlana swetlana sybille sylvia sylvie szymon tadeusz tamara tanja tarek
    tatjana teresa theo theodor theres theresa therese thilo thomas thorben thorsten tiago tilman tim timo timothy tina tobias
    tomas tomasz tomislav torben torsten traudl traute tristan tuncay udo ulf ulla ulrich ulrike urs ursel ursula uschi ute uta uwe
    valentin valentina valeria vanessa vasilios verena veronika veronica victor victoria viktor viktoria vincent vinzenz
    violeta virginia vivian vivien vladimir volker volkmar walburga waldemar walter waltraud wanda wasil wendy wenzel werner
    wieland wilfried wilhelm wilhelmine willi william willy wiltrud winfried wladimir wojciech wolf wolfgang wolfram xaver yannick
    yasemin yasmin ylva yusuf yvonne zbigniew zdenka zeynep zofia zoran
    """
)

# Words that are never a name, even after a title: without umlauts, no surname of any frequency.
_FUNCTION_WORDS = _table(
    """
    aber alle allem allen als am an auch auf aus ausserhalb bei beim bereits beide bis bitte da dabei damit dann das dass dem denen
    derzeit des deutlich die dies diese dieser doch durch ein eine einem einen einer eines erneut es etwa ferner fuer gegen
    gegenueber hat haben hatte heute hier hierbei ihm ihn ihr ihre ihrem im in ins ist jedoch kein keine keinen keiner kommt konnte
    links rechts linke rechte man mit nach nicht noch nur nun ob oder ohne schon sehr sei seit sein seine seinem sich sie sind so
    sofort sowie sowohl ueber um und unter unveraendert vor waehrend war waren weder weil weiter weiterhin wenn wie wieder wir wird
    wurde wurden zeigt zeigen zufolge zunaechst zwei zwischen
    anwesend befindet begleitet bekannt bekommt benachrichtigt bereit berichtet berichten beschreibt besprochen besteht bestehen
    bestaetigt bittet dokumentiert empfiehlt empfohlen erfolgt erfolgte erhaelt erhielt erlitt erwuenscht faellt fiel freigegeben
    gebeten gefallen gegeben gehabt geht gemacht gesehen gestuerzt gestellt gewuenscht gibt informiert kam klagt leidet liegt litt
    meldet mitgeteilt moechte nimmt raucht stellt stellte stuerzte traegt uebermittelt uebernimmt verlegt verneint verstaendigt
    verstorben vidiert diesbezueglich postoperativ praeoperativ angerufen gefaxt geschickt gesendet
    vorgestellt vorstellig weiss wohnt wollte wuenscht zurueck telefonisch persoenlich muendlich schriftlich
    umgehend rief ruft sah sieht gab nahm bat fand unauffaellig regelrecht nuechtern adipoes stationaer ambulant erstmals aktuell zuletzt frueher
    a about after against agreed agrees all also and any are as at aware because been before being both but by called calls came
    can complains confirmed contacted could currently denies did discussed does due during emergently fell for from given has have
    he her here his immediately informed into is it its known left made me mild moderate more my near negative new no nor normal
    noted notified now of off on once only or other our out over paged personally presented presenting presents previously reported
    reports requested reviewed right seen severe she should since smokes stable states suspected telephoned than that the their
    them then there these they this those to told under until up urgently verbally very via was we were when where which while who
    with without yesterday you your
    if how whether so such each every through throughout within between either neither upon just well however otherwise whom per
    because although though per via can may saw says said asked gave took felt would could might must
    kollege kollegen kollegin kolleginnen ass assistenz oberarzt oberaerztin chefarzt chefaerztin arzt aerztin
    dr dres drs prof professor doktor doctor pd priv doz dipl ing med herr herrn frau hr fr mr mrs ms miss mx nurse pfleger oa oae ca fa fae
    """
)
# Words that are a surname at most after a title: without umlauts.
_NOUNS = _table(
    """
    abklaerung ablauf absprache aenderung akte aktueller allergie allgemein analyse anamnese anforderung anfrage angabe angaben
    angehoerige angehoerigen anlage anlass anschluss antwort apoplex arzt aerzte aerztin anruf arztbrief asthma aufenthalt auftrag
    ausgang ausschluss ausweis auszug bedarf behandler beginn bereich bericht beschwerden bestand beurteilung bezug bild bilder blut
    blutverlust brief brustkrebs bypass chemo chirurg darstellung datei daten dauer dekubitus demenz diabetes diabetiker diabetikerin
    diagnose diagnosen diagnostik dialyse dienst dienstarzt diktat dokument drainage durchfall dyspnoe eingang eingriff einlieferung
    einsatz einweiser einweisung ende ergebnis ergebnisse erkrankung ersatz exsikkose facharzt fall familie fernmetastasen fieber
    folge form frage fragestellung frau gabe gang gefaess gefaesse gewicht gicht groesse grund gruesse harnstau harnverhalt hausarzt
    herr herren damen hinweis hochdruck husten hypertonie hypertonus ikterus ileus impfung infekt innere inneren intensiv internist
    jahr jahre jahren kenntnis kinder klinik kliniken kollege kollegen kollegin kolik konferenz konsil kontakt kontrast
    kontrastmittel kopie krankengeschichte krankenhaus krebs kreislauf labor lage leben leiter letzte letzten luft lymphknoten
    maenner mamma material medikament medizin messung nacht nachricht name nikotin notarzt notaufnahme notdienst notfall nummer
    oberarzt oma opa operateur palliativ parameter partner patient patientin person personal pflege pneumonie praxis probe problem
    protokoll raucher raucherin reha rest resultat rheuma risiko rueckmeldung rueckruf ruecksprache sache schaedel schlaganfall
    schlafapnoe schockraum schwaeche schreiben schwester seite sekretariat sepsis serie sicht sondage stand status stationsarzt
    stroke studie sturz synkope system tabletten tag team technik teil telefon termin test tod trauma treppe treppensturz tumorboard
    tumorkonferenz uebelkeit uebergabe ueberweiser uhr unbekannt unfall unklar unterlagen unterschrift untersucher urlaub ursache
    verband verdacht vergleich verlauf verweis wert werte woche wochen wunsch zimmer zuweiser zustand zustaendige eigenanamnese
    fremdanamnese pflegeheim radiologe radiologin neurologe urologe onkologe dermatologe gynaekologe kardiologe betreuer betreuerin
    ehefrau ehemann tochter sohn mutter vater bruder nachbarn rettungsdienst feuerwehr polizei verteiler anhang heimat ausland stadt
    montag dienstag mittwoch donnerstag freitag samstag sonntag januar februar maerz april mai juni juli august september oktober
    november dezember monday tuesday wednesday thursday friday saturday sunday january february march june july october december
    knie hals bein bauch brust fuss hand arm finger zehe stirn haut kiefer zahn zaehne oberkiefer unterkiefer becken abdomen schulter
    ellenbogen weichteile wirbelsaeule nasennebenhoehlen aszites luftnot atemnot polytrauma katheter sonde stent stents clip clips
    prothese schrauben platte stabil wach akut chronisch normal gut alt klein gross frei
    vorname nachname familienname geburtsname diensthabender diensthabende chirurg
    signed dictated transcribed typed interpreted approved verified signiert
    vormonat vorjahr vorwoche eltern befund befunde radius ulna tibia fibula talus patella
    aerztlicher aerztliche direktor medizinischen klinischen md phd rn frcr facr mbbs
    consent course admission admissions admitted stay discharge visit notes note addendum pap slides xray views examination
    visum signum handzeichen kuerzel signatur morbus zweitbefund erstbefund telefonnummer kontaktperson ansprechpartner
    absent acute additional again anonymous attending back care caregiver case center chronic clear clinic clinical clinician
    colleague comparison conference consult consultant contrast copy critical data date diabetic doctor er exam fall family fellow
    fever film findings finding floor follow former gi history home hospital icu image images impression indication interval intern
    lab laboratory male female man may medical medicine mr name nurse nursing office on-call operator ordering orthopedics
    outpatient outside pain patient pediatrics phone physician practice practitioner preliminary primary prior procedure provider
    radiologist referring registrar report resident results result room service shift smoker specialist staff still study surgeon
    surgery surgical technique technologist today two unit unknown urgent ward woman year years oncologist cardiologist
    neurologist urologist asthma copd cirrhosis ascites gout pneumonia cough dyspnea edema liver kidney spleen chest pelvis head neck
    spine knee shoulder hip ankle wrist brain breast lymph nodes covid aids hiv khk pavk vhf ards tia tvt lae nstemi stemi cll aml
    cml ct mrt mri cta mra pet us ekg eeg tee cup hcc ccc tep nsclc sclc
    """
)

_COMMON_WORDS = _FUNCTION_WORDS | _NOUNS

# Ends of words of medicine that end no usual surname.
_CLINICAL_ENDINGS = re.compile(
    r"""(?:itis|itiden|osen?|iasis|pathien?|tomien?|skopien?|graphien?|grafien?|metrie|logien?|logische[rnms]?|chirurgie|plastik|plastie|therapien?
    |plegie|parese|aemien?|urie|algien?|trophien?|plasien?|phagie|embolien?|ektasien?|zelen?|tions?|tionen|sionen|itaet|itaeten|ierung|ierungen
    |karzinome?|carcinoma?|sarkome?|adenome?|lymphome?|haematome?|myome?|fibrome?|lipome?|angiome?|gliome?|meningeome?|melanome?
    |syndrome?|symptom(?:e|atik)?|zysten?|fraktur(?:en)?|laesion(?:en)?|stenosen?|ruptur(?:en)?|thrombus|thromben|infarkte?s?|tumore?n?s?|.herde?|erguss|erguesse
    |oedeme?|abszesse?|abscess|thorax|metastasen?|metastasis|metastases|zirrhosen?|hernien?|divertikel|schmerz(?:en)?|verletzung(?:en)?|blutung(?:en)?|.befunde?s?
    |untersuchung(?:en)?|aufnahmen?|kontrollen?|gelenke?s?|knochens?|wirbel(?:n|s)?|druesen?|arterien?|venen?|muskel(?:n|s)?|lappens?|segmente?s?|kanals?|hoehlen?
    |verkalkung(?:en)?|schwellung(?:en)?|krankheit(?:en)?|steine|zeichen|zentrum|abteilung|station|ambulanz|aufklaerung|sonographie|insuffizienz
    |osis|omas?|emia|uria|ectomy|otomy|oscopy|ography|opathy|oplasty|algia|plegia|ments?|ness|cysts?|tumou?rs?|lesions?|fractures?|effusions?|thrombosis
    |aneurysms?|embolism|embolus|disease|cancer|carcinomas?|sarcoma|lymphoma|adenoma|ology|ological|.{6,30}ung(?:en)?|.heit|.keit|.schaft)$""",
    re.VERBOSE,
)
# Ends of verbs and adjectives, which some surnames have as well.
_OTHER_ENDINGS = re.compile(
    r"(?:...ung|....isch(?:e[nrms]?)?|...lich(?:e[nrms]?)?|...ige?[nrms]?|....iert|...ed|...ing|....ous|....al|....end|....bar|ge.{3,9}t)$"
)
_INFLECTION = re.compile(r"(?<=.....)(?:e[nrms]?|n|s)$")
_FOLDED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


def fold_word(word: str) -> str:
    """The word in lower case, without umlauts."""
    return word.lower().translate(_FOLDED)


def is_common_word(word: str, *, titled: bool = False) -> bool:
    """Whether the word, or the last part of one with hyphens, is a usual word of reports and no name.

    `titled`: it follows a title, where some words are names that are none elsewhere.
    """
    last = fold_word(word.rpartition("-")[2])
    table = _FUNCTION_WORDS if titled else _COMMON_WORDS
    return last in table or (not titled and _INFLECTION.sub("", last) in table) or bool(_CLINICAL_ENDINGS.search(last))


def is_finite_or_adjective(word: str) -> bool:
    """Whether the word ends as a verb or an adjective does: KLAGT is in the list of words, GEFAESSCHIRURGISCH ends so."""
    return _OTHER_ENDINGS.search(fold_word(word)) is not None
