"""What the project adds to Airflow itself."""

from airflow.plugins_manager import AirflowPlugin

from propensity_airflow.schedule import CronBetween


class PropensityPlugin(AirflowPlugin):
    """Registers the timetable, which the scheduler has to make again from the DAG's stored form."""

    name = "propensity"
    timetables = [CronBetween]  # noqa: RUF012  # Airflow's way to declare it
