"""Preference optimisation on pairs that share what they have in common."""
