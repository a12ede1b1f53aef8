"""Names, errors, settings and time. Imports nothing of ours."""
