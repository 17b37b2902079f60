"""Reinforcement learning on questions whose answers can be verified (GRPO)."""
