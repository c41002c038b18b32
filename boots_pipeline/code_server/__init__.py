"""The process that knows our definitions: webserver and daemon ask it, and it starts the runs."""
