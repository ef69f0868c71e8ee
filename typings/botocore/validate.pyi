from typing import Any

class ParamValidator:
    def validate(self, params: Any, shape: Any) -> Any: ...
