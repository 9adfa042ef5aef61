"""What sentences state, and whether two of them state the same.

    content = read_content("Kein Pleuraerguss links.", "de", lexicon)
    check_rewriting(before, after, "de", lexicon)  # None, or what is wrong with it

The checks of rewritten and translated sentences are strict on purpose: refusing a good sentence costs a row, accepting a wrong one
puts a false label on an image. The terms that are compared are in `refrad.anatomy.term_table`.
"""
