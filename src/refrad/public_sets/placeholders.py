"""Placeholders that a set has for removed names, dates and places, such as "[patient_1]", as RefRad writes them."""

import polars as pl

__all__ = ["has_placeholder", "replace_placeholders"]

# Part of RefRad's placeholders (refrad.privacy.scrubbing.PLACEHOLDERS) to the words of sets.
WORDS = {
    "DATE": "date|time|day|month|year|birthdate|date_of_birth|dob",
    "PLACE": "hospital|clinic|institution|institute|department|location|place|address|city|country|region",
    "PHONE": "phone|phone_number|telephone|fax|email|mail|url|website",
    "AGE": "age",
    "ID": "id|number|protocol|protocol_no|protocol_number|accession|accession_number|mrn|file|file_number|record|identifier",
    "NAME": "patient|patient_name|doctor|radiologist|physician|clinician|surgeon|technician|person|name|surname|relative",
}
OTHERS = r"(?i)\[[a-z]+(?:_[a-z]+)*_\d+\]"  # a word that is not above is a person; "[T2]" and "[image 12]" are none


def _placeholder(words: str) -> str:
    return rf"(?i)\[(?:{words.replace('_', '[_ -]')})[_ -]?\d+\]"


def replace_placeholders(texts: pl.Expr) -> pl.Expr:
    """Texts with [DATE], [PLACE], [PHONE], [AGE], [ID] or [NAME] for each numbered word in square brackets."""
    for placeholder, words in WORDS.items():
        texts = texts.str.replace_all(_placeholder(words), f"[{placeholder}]")
    return texts.str.replace_all(OTHERS, "[NAME]")


def has_placeholder(texts: pl.Expr) -> pl.Expr:
    """Whether a text has a numbered word in square brackets."""
    return texts.str.contains("|".join(map(_placeholder, WORDS.values())) + "|" + OTHERS)
