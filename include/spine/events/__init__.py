"""What becomes of events: which runs were late, which Connections expire, and who is told."""
