"""Calibration of basins against daily runoff, as a TOML file says."""
