"""The class schema and the lexicon. Imports nothing else of the house."""
