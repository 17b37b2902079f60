"""What the recipes fill in, as YAML."""
