class KickstartError(Exception):
    message: str
    lineno: int | None
