"""Stage pages, gallery and index."""
