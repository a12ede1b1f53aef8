"""How alike two records are: a level per comparison, one small integer per pair."""
