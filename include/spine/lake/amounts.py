"""How much work is little: up to here it is done in the way that costs least to begin, above in the way that goes on best.

The result is the same either way. Everything that chooses between such ways reads its bound here.
"""

from __future__ import annotations

# Rows that a normalization's tables hold, and bytes of their files (Parquet packs JSON to about a tenth), that pass through this process;
# above, Spark's own Delta reads and merges.
FEW_ROWS, FEW_BYTES = 20_000, 16 << 20
# Rows below which Spark interprets a query: on two cores and 1,700 rows a normalization took 13 s of processor time compiled and 5 s
# interpreted. Above it, the settings are Spark's own again.
INTERPRETED_ROWS = 10_000
# Changed rows of a Gold table that delta-rs merges in less time than Spark takes to plan.
MERGED_ROWS = 100_000
# Due Bronze rows from which on the seconds that a JVM of full strength takes to start and to warm up are won back.
LARGE_ROWS = 100_000
