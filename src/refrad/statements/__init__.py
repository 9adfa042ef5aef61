"""What sentences state, and whether two of them state the same.

    content = read_content("Kein Pleuraerguss links.", "de", lexicon)
    check_rewriting(before, after, "de", lexicon)  # None, or what is wrong with it

The terms that are compared are in `refrad.anatomy.term_table`.
"""
