class AccessToken:
    token: str
    expires_on: int
    def __init__(self, token: str, expires_on: int) -> None: ...

class AzureNamedKeyCredential:
    def __init__(self, name: str, key: str) -> None: ...
