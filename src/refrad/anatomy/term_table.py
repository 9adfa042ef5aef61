"""Radiological terms in German and English.

Sentences are compared by these terms. A term that is missing here is not compared; a term with a spelling missing in one
language makes right translations fail.
"""

from collections.abc import Mapping

__all__ = ["TABLE"]

# One line a term: name | German | English; a line that begins with two spaces goes on with the one before. "*" is any
# letters at the beginning or end of a word; spellings that the lexicon holds for the same (ä = ae, c = k or z) are one.
# A word on several lines of a kind means any of them; of two patterns in the same letters the longer counts. A phrase
# comes before its words.
TABLE: Mapping[str, str] = {
    "finding": """
abscess | *abszess* | abscess*
amyloid | *amyloid* | *amyloid*
aneurysm | *aneurysm* | *aneurysm*, *aneurism*
arthrosis | *arthrose*, *arthrot* | osteoarthr*, *arthrosis, *arthroses, *arthrotic
ascites | aszites*, freie flüssigkeit, freier flüssigkeit | ascit*, free fluid, free abdominal fluid
atelectasis | *atelekt*, *dystelekt*, minderbelüft* | atelect*
bronchiectasis | *bronchiekt* | bronchiect*
calcaneus | *kalkaneus*, fersenbein* | calcane*
carcinoma | *karzinom*, *krebs* | *carcinoma*, cancer*
cirrhosis | *zirrho* | cirrho*
cholecystectomy | cce, che, *cholezystektom*, *cholecystektom* | chole, *cholecystectom*
cholestasis | *cholesta*, gallestau*, gallenstau* | cholesta*
clot | *gerinnsel*, *koagel* | clot*
consolidation | infiltrat, infiltrate, infiltraten, infiltrates, infiltrats, *konsolid* | infiltrate, infiltrates,
  consolid*
contusion | *kontusion*, prellung* | contusion*
cyst | *zyst* | *cyst*
dissection | *dissekt* | dissect*
diverticulum | *divertik* | *divertic*
drain | *drainage*, drain, drains, *drän* | drain*
catheter | *katheter*, zvk | *catheter*
edema | *ödem* | *edema*, *oedema*
effusion | *erguss*, *ergüsse* | effusion*
embolism | *embol*, lae | *embol*, pe
emphysema | *emphysem* | emphysem*
fibrosis | *fibros*, *fibrot* | fibros*, fibrot*
fistula | *fistel*, *fistul* | fistul*
fluid | *flüssigkeit*, verhalt, verhalte, verhaltes, *verhaltung* | fluid*, collection*
fracture | *fraktur*, gebrochen*, bruch, brüche, *knochenbruch* | fractur*, broken
free air | freie luft, freier luft, freien luft, freies gas, *pneumoperiton* | free air, free gas, free
  intraperitoneal air, pneumoperiton*
gas | luft*, *gas, gasein*, gasfor*, gasan* | air, gas
hematoma | *hämatom* | *hematoma*, *haematoma*
hemorrhage | *blutung*, *hämorrh*, *geblutet* | *hemorrhag*, *haemorrhag*, bleed*
hernia | *hernie*, *hernia* | hernia*, herniation, herniations
hydronephrosis | *harnstau*, nierenstau*, *hydronephro*, *hydroureter*, harnaufstau* | *hydronephro*,
  *hydroureter*, urinary obstruction
ileus | *ileus* | ileus, bowel obstruction*
obstruction | *ileus*, *obstru*, verlegung*, verlegt* | obstruct*
infarction | *infarkt*, *infarz*, *ischäm* | *infarct*, ischem*, ischaem*
hydrocephalus | *hydrozephal* | *hydroceph*
inflammation | *entzünd*, *inflamm* | *inflam*
infiltration | infiltrier*, *infiltration*, infiltrativ*, *invasi* | infiltrat*, inva*
insufficiency | *insuffizien* | *insufficien*, failure
ischemia | *ischäm* | ischem*, ischaem*
kink | *knickung*, abgeknickt* | kink*
lesion | *läsion*, *herd, *herde, *herden, *herdes, *herds, *herdbefund* | lesion*, focus, foci
listhesis | *listhe* | *listhe*
lymphadenopathy | *lymphadenopath*, *lymphknotenvergrößer* | *adenopath*
mass | raumforder*, *tumor*, *neoplas*, rf | mass, masses, *tumor*, *tumour*, neoplas*
metastasis | *metasta*, *filia* | metasta*, mets
myoma | *myom* | *myoma*, *fibroid*
nodule | *rundherd*, *knoten, *knötchen, *knotens, *nodul*, *nodös*, *knotig* | *nodul*
nodule | *herd, *herde, *herden, *herdes, *herds | nodul*
opacity | *verschatt*, *verdichtung*, *trübung*, *konsolid*, infiltrat* | opaci*, density, densities, consolid*,
  infiltrat*
osteolysis | *osteoly*, lytisch* | *osteoly*, lytic
osteophyte | *osteophyt*, *spondylophyt*, randzack* | *osteophyt*, *spondylophyt*, spur*
perforation | *perfor* | *perfor*
plaque | *plaque* | plaque*
pneumonia | *pneumoni* | *pneumoni*
pneumothorax | *pneumothora*, pneu | *pneumothora*
polyp | *polyp* | polyp*
prolapse | *prolaps*, *vorfall*, *vorfäll*, *sequest* | *prolaps*, herniat*, herniation, herniations, extru*,
  *sequest*
prosthesis | *prothes*, tep, htep, ktep | *prosthes*, *arthroplast*, replace*
protrusion | *protrus*, *protrud*, vorwölb* | protru*, bulg*
recommendation | empfehl*, empfohlen*, anraten, angeraten*, kontrolle, verlaufskontroll* | recommend*, follow up,
  advis*, suggest
recurrence | *rezidiv* | recurr*
removal | *ektomie*, *ektomier*, entfern*, resezier*, *resektion*, exstirp*, *amput*, fehlt | *ectomy, *ectomies,
  *ectomized, *ectomised, remov*, resect*, absent, excis*, amput*
resorption | *resor* | resor*
retention | *retention*, *retinier* | reten*
rupture | *ruptur*, *riss, *risse, *rissen, gerissen* | *ruptur*, tear, tears, torn
laceration | *lazerat* | lacerat*
sarcoidosis | *sarkoid* | sarcoid*
scar | *narb* | *scar, *scars, scarr*
sludge | sludge*, gries, grieß | sludge
stenosis | *stenos*, *stenot*, *einengung*, eingeengt*, verengung*, verengt* | *stenos*, *stenot*, narrow*
stent | *stent* | *stent, *stents, stented
pacemaker | *schrittmacher* | pacemaker*
stone | *stein, *steine, *steinen, *steins, *steines, *konkrement*, *lithia*, *lith, *lithen | *stone, *stones,
  *calcul*, *lithia*, *lith, *liths
steatosis | *steatos*, *verfett*, *fettleber* | steato*, fatty
syndesmophyte | syndesmophyt* | syndesmophyt*
occlusion | *verschluss*, *verschlüss*, *verschloss*, *okklu* | *occlu*
thrombosis | *thrombo*, *thrombus*, *thromben*, *thrombi | *thrombo*, *thrombus, *thrombi, clot*
torsion | *torsion*, *torquier* | torsion*, torsed
ulcer | *ulkus*, *ulzer* | *ulcer*
varix | *varize*, *varik*, *varix* | *varic*, *varice*, varix
""",
    "look": """
atrophy | *atroph* | *atroph*
benign | benign*, gutartig* | benign
calcification | *kalk*, *kalzifi* | *calcif*
compression | *kompr*, *sinterung*, gesintert* | compress*
congestion | *stauung*, gestaut* | congest*, engorg*
contrast | *anreicher*, *enhancement*, *kontrastierung*, km aufnahme, kontrastmittelaufnahme | enhanc*
deformity | entrundet*, *deform* | deform*
degeneration | *degenerat* | degenerat*
destruction | *destru* | destruct*
diffusion | *diffusions* | diffusion
dilatation | *erweiter*, *dilat*, *ektas*, geweitet*, aufgeweitet* | *dilat*, *ectas*, distend*, distension, widen*
dislocation | *luxation*, *luxier*, *dislok*, *disloz* | *dislocat*, *luxat*, displace*, displaci*
displacement | verlager*, verschieb*, verschob*, verdräng*, *shift* | displace*, displaci*, shift*
enlargement | aufgetrieb*, *vergrößer*, *megalie*, *megalen | *enlarg*, *megaly, *megalies
erosion | *erosi*, *erod* | *erosi*, *erod*
glass | *milchglas* | ground glass
hyperdense | hyperdens*, hyperatten* | hyperdens*, hyperatten*
hyperintense | *hyperintens* | hyperintens*
hypodense | hypodens*, hypoatten* | hypodens*, hypoatten*, low density, low attenuation
hypointense | *hypointens* | hypointens*
isodense | isodens* | isodens*, isoatten*
isointense | isointens* | isointens*
malignant | *malign*, bösartig* | *malignan*
necrosis | *nekro* | *necro*
lucency | aufhell* | *lucen*
sclerosis | *skleros*, *sklerot* | *scleros*, *sclerot*
shrinkage | verkleiner*, *schrumpf* | shrunken, shrink*, atroph*
swelling | *schwell*, *schwoll* | swell*, swollen
thickening | *verdick*, verbreiter* | *thicken*
homogeneous | homogen* | homogen*
inhomogeneous | inhomogen*, heterogen* | inhomogen*, heterogen*
compatible | vereinbar*, passend*, hinweisend* | consistent, compatible, in keeping
""",
    "state": """
normal | *unauffäll*, normal, normale, normaler, normales, normalen, normalem, normalweit*, normalgroß*,
  regelrecht*, regelhaft*, o. b., o. p. b., *altersentsprech*, reizlos*, orthotop* | unremarkable, normal,
  normally, within normal limits, age appropriate, orthotopic
normal | intakt*, frei, offen*, durchgängig*, perfundiert*, schlank*, zart*, erhalten* | intact, clear, free,
  patent, open, perfused, slender, thin, nondilated, preserved, slim, delicate, maintained
""",
    "change": """
constant | unveränd*, *konstan*, stabil*, stationär*, idem | unchanged, *stable, constant, stationary
increase | *progredien*, *progress, *progression, *progressiv*, zunehm*, *zunahme*, zugenommen*, größer, größere,
  gewachsen*, wachs*, vermehrt*, erhöht* | increas*, progress*, grown, growth, growing, grew, larger, bigger,
  worse*, elevated
decrease | *regredien*, *regress*, abnehm*, *abnahme*, abgenommen*, kleiner als, rückläufig*, rückgang,
  *rückbildung*, reduzier*, vermindert*, verringert* | decreas*, regress*, smaller, reduced, diminish*
new | neu, neue, neuer, neues, neuen, neuem, neuauf* | new, newly
""",
    "degree": """
small | klein, kleine, kleiner, kleines, kleinen, kleinem, kleinst*, winzig*, gering* | small, tiny, minute,
  minimal*
large | große, großer, großes, großen, großem, ausgedehnt* | large, big, extensive
slight | gering*, leicht, leichte, leichter, leichtes, leichten, leichtem, leichtgrad*, diskret*, minimal*, mild*,
  ggr, etwas | mild*, slight*, minimal*, minor, subtle, small, discrete, low grade, faint*
moderate | mäßig*, mittelgrad*, moderat*, mgr | moderat*, medium
severe | hochgrad*, ausgepräg*, schwer, schwere, schwerer, schweres, schweren, schwerste*, deutlich*, massiv*,
  erheblich*, hgr, stark, starke, starker, starkes, starken | severe*, marked*, massive*, pronounced, extensive,
  significant*, substantial*, considerabl*, high grade, distinct*, clearly, strong*, advanced
partial | *teilweise, partiell*, inkomplett*, subtotal* | partial*, incomplet*, subtotal*
single | solitär*, einzeln*, singulär*, vereinzelt* | solitary, single, isolated, few, scattered, singular,
  individual
multiple | *multip*, mehrere*, zahlreich*, viele, vielen, einige*, multilok* | *multip*, several, numerous, many,
  some, innumerable
acute | *akut, *akute, *akuten, *akuter, *akutes, frisch* | *acute, *acutely, fresh, recent
chronic | chron*, alt, alte, alter, altes, alten, altem, älter* | chronic*, old, older, remote
""",
    "place": """
ascending | aszend*, ascend* | ascend*
descending | deszend*, descend* | descend*
rib | rippe, rippen | rib, ribs
axilla | axill*, achsel* | axill*
bile duct | *gallenweg*, *gallengang*, *gallengäng*, dhc, *choledoch* | bile duct, bile ducts, biliary tree,
  biliary, cbd, *choledoch*
bronchus | *bronchus*, *bronchi, *bronchien*, *bronchial* | *bronchus, *bronchi, *bronchial
diaphragm | *zwerchfell* | *diaphragm*
disc | *bandscheib*, diskus*, diskal* | disc, discs, disk, disks, discal, intervertebral
distal | distal* | distal*
dorsal | dorsal*, hinter*, posterior* | posterior*, dorsal*
groin | *inguinal*, *leisten* | *inguinal*, groin*
hilum | *hilus*, *hilär* | hilum, hila, *hilar
knee | *knie* | *knee*
lateral | lateral* | lateral*
lower pole | *unterpol*, unteren pol, unterer pol, unterem pol | lower pole, inferior pole
lymph node | *lymphknoten*, lk | lymph node, lymph nodes, node, nodes, nodal, *adenopath*
medial | medial* | medial*
mediastinum | *mediastin* | *mediastin*
meniscus | *menisk* | *menisc*, *menisci
mesentery | *mesenter* | *mesenter*
omentum | *omental*, *omentum* | *omental, *omentum
ovary | *ovar, *ovars, *ovarial*, *ovarien, *ovariell*, adnex* | *ovar*, adnex*
pericardium | *perikard* | *pericard*
pleura | *pleura*, pleural* | *pleura*
proximal | proximal* | proximal*
retroperitoneum | *retroperiton* | *retroperiton*
shoulder | *schulter* | *shoulder*
spinal canal | *spinalkanal* | spinal canal
testis | *hoden, *hodens | testi*
upper pole | *oberpol*, oberen pol, oberer pol, oberem pol | upper pole, superior pole
ureter | *ureter*, *harnleiter* | *ureter*
uterus | *uterus*, *uterin* | *uterus, *uterin*
ventral | ventral*, vorder*, anterior* | anterior*, ventral
""",
}
