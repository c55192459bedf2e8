"""Parameter networks over basins, by a TOML file."""
