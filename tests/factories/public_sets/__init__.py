"""Replicas of public sets: folders laid out as the sets are, small, with every known trap planted."""
