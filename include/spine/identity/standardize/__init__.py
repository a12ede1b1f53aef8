"""Raw attribute texts to comparable texts: what all kinds share. What is special to a kind is in `kinds` and `composites`."""
