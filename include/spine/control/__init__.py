"""State that outlives a run: runs, locks, tokens, breakers, cursors, ledger. The only writer of those tables."""
