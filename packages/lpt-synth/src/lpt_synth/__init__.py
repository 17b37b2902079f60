"""Captions in, verified long perceptual thoughts out: the synthesis of LPT."""

__version__ = "0.1.0"

__all__ = ["__version__"]
