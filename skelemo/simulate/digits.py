"""Numbers as OpenPose prints them: ``std::ofstream << float`` keeps six significant digits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_POWERS = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5])
_SCALES = np.array([0.0, 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0])  # exact, so that one division rounds right


def six_digits(values: NDArray[Any]) -> NDArray[np.float64]:
    """Values of float32, below a million, rounded to six significant digits.

    The shortest text that gives a number back is then the one that C++ prints. Magnitudes below 1e-4, which C++ would
    print with an exponent, become 0.
    """
    exact = values.astype(np.float32).astype(np.float64)
    place = np.searchsorted(_POWERS, np.abs(exact), side="right")
    scale = _SCALES[place]
    return np.where(place > 0, np.rint(exact * scale) / np.where(place > 0, scale, 1.0), 0.0)
