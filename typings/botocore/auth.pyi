from typing import Any

from .awsrequest import AWSRequest

class SigV4Auth:
    def __init__(self, credentials: Any, service: str, region: str) -> None: ...
    def add_auth(self, request: AWSRequest) -> None: ...
