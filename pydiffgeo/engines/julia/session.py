def missing() -> str | None:
    return "not built yet"
