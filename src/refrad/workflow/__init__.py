"""The config as the rules see it, fingerprints and tallies."""
