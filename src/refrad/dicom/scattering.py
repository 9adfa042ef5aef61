"""Identifiers that a faulty de-identification made anew for each file, so that they no longer join what belongs together."""

__all__ = ["LEAST", "is_scattered"]

LEAST = 3  # different identifiers that are no chance, and images under one that are no remainder


def is_scattered(images: int, identifiers: int) -> bool:
    """Whether images that belong together have (nearly) an identifier each: at least three, for fewer than three images on average."""
    return identifiers >= LEAST and images < LEAST * identifiers
