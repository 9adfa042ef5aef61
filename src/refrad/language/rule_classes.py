"""Classes that the rules of the mention finder name themselves, compared with a schema that a site may edit."""

from collections.abc import Mapping

from refrad.anatomy.lexicon import Lexicon
from refrad.anatomy.schema import Schema
from refrad.language.distant_sides import LEFT_LUNG
from refrad.language.levels import DISCS, SACRUM, VERTEBRAE
from refrad.language.ribs import RIBS

__all__ = ["CYSTS", "KIDNEYS", "missing_rule_classes", "schema_warnings"]

KIDNEYS = ("kidney_left", "kidney_right")
CYSTS = ("kidney_cyst_left", "kidney_cyst_right")
RULE_CLASSES: Mapping[str, tuple[str, ...]] = {
    "numbered ribs": RIBS,
    "vertebral levels": VERTEBRAE,
    "sacral levels below S1": (SACRUM,),
    "discs between two levels": (DISCS,),
    "cysts near a kidney": KIDNEYS + CYSTS,
    "lungs without a side": (LEFT_LUNG,),
}
LONGEST_LIST = 4  # class names in a warning


def missing_rule_classes(schema: Schema) -> dict[str, tuple[str, ...]]:
    """Rule to the classes that it names and the schema lacks: for these the rule is off."""
    missing = {
        rule: tuple(name for name in names if name not in schema.by_name) for rule, names in RULE_CLASSES.items()
    }
    return {rule: names for rule, names in missing.items() if names}


def schema_warnings(lexicon: Lexicon, schema: Schema) -> list[str]:
    """Sentences to log when a stage starts: rules that are off, and classes that no sentence can mention."""
    warnings = [
        f"rule for {rule}: off for {_join(names)}: the schema has no such class"
        for rule, names in missing_rule_classes(schema).items()
    ]
    by_rule = {name for names in RULE_CLASSES.values() for name in names}
    if wordless := [name for name in schema.by_name if name not in lexicon.classes | by_rule]:
        warnings.append(f"no words in the lexicon for {_join(wordless)}: no caption can mention them")
    return warnings


def _join(names: tuple[str, ...] | list[str]) -> str:
    hidden = len(names) - LONGEST_LIST
    return ", ".join(names[:LONGEST_LIST]) + (f" and {hidden} more" if hidden > 0 else "")
