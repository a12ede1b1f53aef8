"""Pages inside the Airflow UI: validations and tables. Behind Airflow's login; every page belongs to a tenant."""
