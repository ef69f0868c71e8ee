from email.message import Message

class AWSRequest:
    headers: Message
    def __init__(self, *, method: str, url: str, headers: dict[str, str]) -> None: ...
