"""Header values that may leave the archive: terms of the standard, coarse ages and shifted dates."""

import datetime
import re

__all__ = ["MODALITIES", "age_of", "body_part_of", "contrast_of", "date_of", "modality_of", "sex_of"]

OLDEST = 90  # years; older people are too few to be anonymous

# PS3.3 C.7.3.1.1.1, without the retired and those that no radiology archive holds.
MODALITIES = frozenset(
    re.findall(
        r"\w+",
        """
        CT MR SEG SR PT NM US CR DX MG XA RF OT SC PR KO DOC REG RWV M3D RTIMAGE RTDOSE RTSTRUCT RTPLAN RTRECORD PLAN
        ECG HD ES XC OP OPT IO PX GM SM BI FID AU EPS IVUS OCT BMD
        """,
    )
)

# Defined terms of Body Part Examined (PS3.16 annex L), as far as they are of use in CT and MR.
BODY_PARTS = frozenset(
    re.findall(
        r"\w+",
        """
        ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA APPENDIX ARM AXILLA BACK BILEDUCT BLADDER BRAIN BREAST
        BRONCHUS BUTTOCK CALCANEUS CALF CAROTID CARPUS CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS
        CIRCLEOFWILLIS CLAVICLE COCCYX COLON CORNEA CORONARYARTERY CSPINE CTSPINE DIGIT DUODENUM EAR ELBOW
        ESOPHAGUS EXTREMITY EYE EYELID FACE FEMORALA FEMUR FIBULA FINGER FLANK FOOT FOREARM GALLBLADDER GLUTEAL
        HAND HEAD HEADNECK HEART HEPATICA HIP HUMERUS IAC ICA ILEUM ILIACA ILIUM INFVENACAVA INGUINAL
        INNOMINATEA INTRACRANIAL JAW JEJUNUM JOINT KIDNEY KNEE LARGEINTESTINE LARYNX LEG LEGS LIVER LOWERLEG
        LOWERLIMB LSPINE LSSPINE LUMBAR LUNG MANDIBLE MASTOID MAXILLA MEDIASTINUM MOUTH NASOPHARYNX NECK
        NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV NOSE OPTICCANAL ORBIT OVARY PANCREAS PANCREATICDUCT
        PARATHYROID PAROTID PATELLA PELVIS PELVISLOWEXTREMT PENIS PERINEUM PHANTOM PHARYNX PHARYNXLARYNX PORTALV
        PROSTATE PULMONARYA RADIUS RADIUSULNA RECTUM RENALA RETROPERITONEUM RIB SCALP SCAPULA SCJOINT SCLERA
        SCROTUM SELLA SEMVESICLE SHOULDER SIGMOID SIJOINT SINUS SKULL SMA SMALLINTESTINE SPINALCORD SPINE SPLEEN
        SSPINE STERNUM STOMACH SUBMANDIBULAR SVC TESTIS THIGH THORACICAORTA THORAX THUMB THYMUS THYROID TIBIA
        TIBIAFIBULA TLSPINE TMJ TOE TONGUE TRACHEA TRACHEABRONCHUS TSPINE ULNA UMBILICAL UPPERARM UPPERLIMB
        UPRURINARYTRACT URETER URETHRA UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA
        """,
    )
)

NO_CONTRAST = frozenset(
    {"NO", "NONE", "N", "KEIN", "KEINE", "KEINES", "OHNE", "WITHOUT", "NATIV", "NATIVE", "UNENHANCED"}
)
DAYS_OF = {"D": 1, "W": 7, "M": 30.4375, "Y": 365.25}


def modality_of(value: str) -> str | None:
    """A modality of the standard; "other" for any other text, None for none."""
    return None if not value else value if value in MODALITIES else "other"


def body_part_of(value: str) -> str | None:
    """A defined term of Body Part Examined, or None."""
    term = re.sub(r"[^A-Z]", "", value.upper())
    return term if term in BODY_PARTS else None


def sex_of(value: str) -> str | None:
    """F, M, O or None."""
    return value if value in {"F", "M", "O"} else None


def contrast_of(agent: str) -> bool | None:
    """Whether a contrast agent was given, from its name: False if the name is a word for none, None if there is no name."""
    if not agent:
        return None
    return agent.upper().strip() not in NO_CONTRAST


def date_of(value: str) -> datetime.date | None:
    """The date of a DICOM date (YYYYMMDD, or YYYY.MM.DD of old), or None."""
    try:
        return datetime.datetime.strptime(value.replace(".", "")[:8], "%Y%m%d").date()
    except ValueError:
        return None


def age_of(value: str, birth_date: str, study_date: str) -> int | None:
    """Full years, at most 90: from a DICOM age (such as 034Y, 018M), else from the two dates; None if neither is given."""
    born, studied = date_of(birth_date), date_of(study_date)
    if match := re.fullmatch(r"(\d{1,3})([DWMY])", value):
        number, unit = int(match[1]), match[2]
        years = number if unit == "Y" else int(number * DAYS_OF[unit] / DAYS_OF["Y"])
    elif born and studied and born <= studied:
        years = studied.year - born.year - ((studied.month, studied.day) < (born.month, born.day))
    else:
        return None
    return min(years, OLDEST)
