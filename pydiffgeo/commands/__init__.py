"""The command line: `pydiffgeo doctor`, `demo`, `calibrate`, `check`, `report`, `verify`."""
