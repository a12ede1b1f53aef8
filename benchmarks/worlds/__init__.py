"""A grid of generated worlds with known truth: `grid/*.yaml` state shares, `generate` makes records of them."""
