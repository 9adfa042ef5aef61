"""One room for the one promise: pseudonyms, header allow-list, text scrub."""
