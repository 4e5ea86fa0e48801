"""The process that runs one agent's commands: it asks the broker before and tells it after."""
