"""Acceptance test of a language model: labelled sentences of each task, judging of answers, and measures of a server."""
