"""The dashboard, a process of its own: a page with the picture and all figures, for browsers."""

SECRET_NAME = "THINAIR_DASHBOARD_TOKEN"  # noqa: S105 -- of the variable that the player hands it over in
