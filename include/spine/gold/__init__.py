"""Gold: its schema in PostgreSQL, publication, lookup, history, evidence, stewardship. Called by steps, pages and commands alike."""
