"""Registration of the second camera: its images in the colour camera's view, pixel by pixel."""
from ssma_core.registration.displacement import Displacement
from ssma_core.registration.file import (
    Registration,
    as_plain,
    is_registration,
    read,
    registered,
    write,
)

__all__ = ["Displacement", "Registration", "as_plain", "is_registration", "read", "registered",
           "write"]
