"""Removal of a patient who has withdrawn: what the run holds of the patient, how that is removed, and what is left.

The delivery is the hospital's and stays. Tables are rewritten in place and keep their time stamps, so that no stage runs again
for them; what describes all patients together (card, pages, evaluation) is deleted, and made again by the next run.
"""
