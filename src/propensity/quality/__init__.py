"""Quality: small statistics that tasks count while they write, and the suites that judge them before anything is committed."""
