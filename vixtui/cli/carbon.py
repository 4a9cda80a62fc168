"""CO₂ of measured energy, at a rate that only the user can know."""

from __future__ import annotations

import math
import os

from vixtui.errors import UsageError

RATE_VARIABLE = "VIXTUI_CO2_G_PER_KWH"
_JOULES_A_KWH = 3.6e6


def co2_grams(joules: float) -> float | None:
    """Return grams of CO₂ at the rate of `RATE_VARIABLE`, in grams a kWh; None when it is not set.

    Raises:
        UsageError: when the rate is no number of 0 or more.
    """
    text = os.environ.get(RATE_VARIABLE)
    if not text:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 <= rate < math.inf:
        raise UsageError(
            f"not a rate: {text}", where=RATE_VARIABLE, remedy="give grams of CO₂ a kWh, as 380"
        )
    return joules / _JOULES_A_KWH * rate
