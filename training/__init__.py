"""Training methods, measured. Knows no web framework, no queue and no database."""
