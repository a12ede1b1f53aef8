# One image for Airflow's services, the Spark master and the Spark workers: the same locked packages everywhere.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends make openjdk-17-jre-headless procps tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 50000 --create-home spine

WORKDIR /opt/spine
RUN chown spine:spine /opt/spine
USER spine

# Packages before code, so that a change of code does not install them again.
COPY --chown=spine:spine requirements.txt pyproject.toml README.md LICENSE ./
COPY --chown=spine:spine scripts ./scripts
COPY --chown=spine:spine include/spine/__init__.py ./include/spine/__init__.py
RUN sh scripts/setup.sh

# Spark reads s3:// through hadoop-aws, of the Hadoop version that this Spark ships; beside Spark's own jars every process has it.
RUN PATH="/opt/spine/.venv/bin:$PATH" && touch /tmp/noop.py \
    && spark-submit --master 'local[1]' --packages org.apache.hadoop:hadoop-aws:3.5.0 \
         --exclude-packages 'org.apache.hadoop:hadoop-client-api,org.apache.hadoop:hadoop-client-runtime' \
         --conf spark.jars.ivy=/tmp/ivy /tmp/noop.py \
    && cp /tmp/ivy/jars/*.jar .venv/lib/python3.11/site-packages/pyspark/jars/ && rm -rf /tmp/ivy /tmp/noop.py

COPY --chown=spine:spine . .

# Services run on a read-only root: what is not compiled now would be by every process anew. Some packages have templates that are no Python.
RUN .venv/bin/python -m compileall -q -j 0 .venv/lib include dags plugins spark_jobs scripts || true

# Where volumes are mounted: a new one takes its owner from here.
RUN mkdir -p -m 0700 .spine/airflow .spine/validations .spine/results .spine/spark

ENV PATH="/opt/spine/.venv/bin:$PATH" \
    PYTHONPATH=/opt/spine/include \
    SPARK_HOME=/opt/spine/.venv/lib/python3.11/site-packages/pyspark \
    AIRFLOW_HOME=/opt/spine/.spine/airflow \
    GX_ANALYTICS_ENABLED=false

ENTRYPOINT ["tini", "--"]
CMD ["airflow", "version"]
