"""Pure functions: grounding and text metrics, intervals."""
