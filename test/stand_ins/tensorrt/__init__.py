"""As much of TensorRT's Python API as the engine builder calls, after its type stubs
(tensorrt-stubs 10.13): its own wheels cannot be had everywhere, and it builds on a GPU only."""
from enum import IntEnum
from typing import Any

__version__ = "10.13.3.9"
networks: list[int] = []  # the flags of all that were made
Severity = IntEnum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE", start=0)
MemoryPoolType = IntEnum("MemoryPoolType", "WORKSPACE", start=0)


class ILogger:
    Severity = Severity


class IProgressMonitor:
    pass


class NetworkDefinitionCreationFlag:
    STRONGLY_TYPED = 1


class OnnxParser:
    def __init__(self, network: object, logger: ILogger) -> None:
        self.num_errors = 0

    def parse(self, model: bytes) -> bool:
        return True


class ITimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> bytes:
        return self.data + b"measured "


class IBuilderConfig:
    workspace = 1 << 40

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        return cache.data != b"of another GPU" or ignore_mismatch

    def set_memory_pool_limit(self, pool: int, pool_size: int) -> None:
        assert pool == MemoryPoolType.WORKSPACE
        self.workspace = pool_size


class Builder:
    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def create_network(self, flags: int = 0) -> None:
        networks.append(flags)

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def build_serialized_network(self, network: None, config: IBuilderConfig) -> bytes | None:
        if config.workspace >= 2 << 20:
            return b"plan"
        self.logger.log(Severity.WARNING, "it is tight")
        self.logger.log(Severity.ERROR, "no tactic fits into the workspace")
        return None
