"""Which pairs are worth a comparison: rules, keys, blocks, pairs."""
