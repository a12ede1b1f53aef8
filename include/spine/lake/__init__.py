"""Everything that knows about Delta: paths, schemas, appends, merges, care."""
