"""The embedded stack: PostgreSQL, Spark Connect, the sandbox and Airflow as processes of one home folder. Stands above everything else."""
