"""The made-up cohort: bodies, scanner, reporter. No stage imports it."""
