"""Recipes: configurations that fill in what a person does not give."""
