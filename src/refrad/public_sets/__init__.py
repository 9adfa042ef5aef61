"""Public sets of CT and MR volumes with reports: an adapter for each turns its folder into the tables of a NIfTI delivery.

The registry, with names and terms, is `refrad.config.public_sets.PUBLIC_SETS`.
"""
