"""The commands for people, one module each. They and the stages are the only code that opens files."""
