"""Pages inside the Airflow UI, one module of `routers` each. Behind Airflow's login; every page belongs to a tenant."""
