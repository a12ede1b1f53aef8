"""Wholes that are compared as one although several attributes make them: a person's name, a postal address."""
