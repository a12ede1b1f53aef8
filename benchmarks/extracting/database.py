"""The same records in a table of PostgreSQL."""

from __future__ import annotations

import psycopg

from benchmarks.extracting.bench import Bench, Reading
from benchmarks.extracting.records import records

AIMS = {"dlt": 5.0, "floor": 0.6}
_TABLE = """
    CREATE TABLE public.things (
        id text PRIMARY KEY, first_name text, last_name text, email text, phone text, status text, balance numeric(12,2), orders int,
        vip boolean, street text, city text, postal_code text, country text, created_at timestamptz, updated_at timestamptz)
"""


def readings(bench: Bench) -> dict[str, Reading]:
    """What each reader took."""
    from spine.control import embedded

    server = embedded.running(bench.folder / "home")
    assert server is not None
    with psycopg.connect(bench.server, autocommit=True) as made:
        # By TCP the embedded server lets nobody in but analysts.
        made.execute("CREATE ROLE analyst_bench LOGIN PASSWORD 'bench'")
        made.execute("GRANT CONNECT ON DATABASE spine TO analyst_bench")
        made.execute("GRANT USAGE ON SCHEMA public TO analyst_bench")
        made.execute(_TABLE)
        with made.cursor().copy("COPY public.things FROM STDIN") as copy:
            for record in records(0, bench.records):
                flat = {**record, **record["address"]}
                del flat["address"]
                names = (
                    "id first_name last_name email phone status balance orders vip street city postal_code country created_at updated_at"
                )
                copy.write_row([flat[name] for name in names.split()])
        made.execute("GRANT SELECT ON public.things TO analyst_bench")
        made.execute("VACUUM ANALYZE public.things")
    url = f"postgresql://analyst_bench:bench@127.0.0.1:{server.port}/spine"  # pragma: allowlist secret
    return bench.compared({"floor": "database_floor", "ours": "database_ours", "dlt": "database_dlt"}, url=url, port=server.port)
