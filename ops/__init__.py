"""Running everything on one machine: Java, Postgres, Airflow's services, the demonstration."""
