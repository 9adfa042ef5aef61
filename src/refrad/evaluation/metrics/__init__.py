"""Pure functions: grounding, text and judge metrics, agreement, intervals."""
