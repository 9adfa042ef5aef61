"""Files, tables, limited processes and the types that all other packages share."""
