"""A process of its own that matches people on a Spark master: `match_on_master.py MASTER RECORDS.parquet CLUSTERS.parquet`."""

import os
import sys

import pyarrow.parquet as pq

if __name__ == "__main__":
    master, records, clusters = sys.argv[1:]
    os.environ["SPINE_SPARK_MASTER"] = master

    from spine.core.entities import Matching
    from spine.identity import engine
    from spine.identity.spark import pairs as distributed_pairs
    from spine.identity.spark import records as distributed_records
    from spine.identity.spark.match import match_on_spark
    from spine.lake.session import spark_session

    distributed_records.PIECE = distributed_pairs.HAND = 150
    session = spark_session("two workers")
    plan = engine.make_plan(Matching.model_validate_json(os.environ["MATCHING"]))
    found = match_on_spark(session.createDataFrame(pq.read_table(records)), plan, 0.85, record_id="rec_id")
    pq.write_table(found.clusters.toArrow(), clusters)
    session.stop()
