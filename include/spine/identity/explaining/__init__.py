"""Why: plans before they run, pairs and entities in words."""
