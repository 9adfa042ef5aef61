"""The class schema and the lexicon of its words; both files are the site's to edit (docs/schema.md).

schema = load_schema(Path("workflow/anatomy/classes.yaml"))
lexicon = load_lexicon(Path("workflow/anatomy/lexicon.yaml"), schema)
schema.twin(schema.by_name["kidney_left"].id)  # the id of kidney_right
"""

from refrad.anatomy.lexicon import Lexicon, load_lexicon
from refrad.anatomy.schema import AnatomyClass, Schema, load_schema

__all__ = ["AnatomyClass", "Lexicon", "Schema", "load_lexicon", "load_schema"]
