"""Engines: what turns requests into outcomes. Imported by module, since each brings what it needs."""
