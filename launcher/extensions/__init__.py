"""A1111's extensions."""
