"""From report text to sentences, image references and mentions."""
