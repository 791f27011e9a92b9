"""What stands for a task's parameters and values in annotations. Only type checkers know more than the names.

The defaults let ``Task`` and ``AsyncResult`` be written without brackets: any parameters, any value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # Type checkers bring these definitions along; nobody has to install the package.
    from typing_extensions import ParamSpec, TypeVar

    P = ParamSpec("P", default=...)
    R_co = TypeVar("R_co", covariant=True, default=Any)
    T = TypeVar("T", default=Any)
else:
    from typing import ParamSpec, TypeVar

    #: The parameters of a task.
    P = ParamSpec("P")
    #: The value of a task.
    R_co = TypeVar("R_co", covariant=True)
    #: The value of a task where it stands inside a list, which may be changed.
    T = TypeVar("T")
