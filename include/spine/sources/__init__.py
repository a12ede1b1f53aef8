"""A source is a YAML file. This package reads it and yields pages of records; it does not write tables."""
