DEFLATED: int
Z_FINISH: int
Z_SYNC_FLUSH: int

class _Compress:
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int = ..., /) -> bytes: ...

def compressobj(
    level: int = -1, method: int = 8, wbits: int = 15, memLevel: int = 8
) -> _Compress: ...
