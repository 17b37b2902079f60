"""Configurations of ``accelerate launch``."""
