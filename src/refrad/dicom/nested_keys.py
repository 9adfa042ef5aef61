"""Keys that are unique within another one only, such as a study's within the patient."""

__all__ = ["nested_key"]


def nested_key(*keys: str) -> str:
    """The keys as one, from the outer to the inner; different ones never become the same, whatever characters they have."""
    return "|".join(key.replace("%", "%25").replace("|", "%7C") for key in keys)
