"""Client decides, auth signs, transport sends. None knows what a source is."""
