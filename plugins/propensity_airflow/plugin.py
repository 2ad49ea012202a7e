"""What the project adds to Airflow itself."""

from airflow.plugins_manager import AirflowPlugin

from propensity_airflow.schedule import CronUntil


class PropensityPlugin(AirflowPlugin):
    """Registers the timetable, which the scheduler has to make again from the DAG's stored form."""

    name = "propensity"
    timetables = [CronUntil]  # noqa: RUF012  # Airflow's way to declare it
