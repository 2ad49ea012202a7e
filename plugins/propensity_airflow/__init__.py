"""How Airflow talks to the project: an operator that runs jobs, the defaults of every task, the facts of a run."""
