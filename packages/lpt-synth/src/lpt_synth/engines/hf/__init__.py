"""The parts of the transformers engine that need torch; nothing here is imported before it is wanted."""
