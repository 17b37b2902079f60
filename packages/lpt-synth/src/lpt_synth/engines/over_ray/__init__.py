"""Engines as actors on a Ray cluster: the connection, the actor, and who is asked what. Imported lazily."""
