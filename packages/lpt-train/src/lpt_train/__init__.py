"""SFT, DPO and GRPO on long perceptual thoughts."""

__version__ = "0.1.0"
