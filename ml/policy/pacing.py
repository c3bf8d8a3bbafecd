"""Controllers that spread a budget over its time.

Adaptive pacing: S. Balseiro and Y. Gur, "Learning in repeated auctions with budgets: regret minimization and
equilibrium", Management Science 65 (2019), section 3. PID: W. Zhang et al., "Feedback control of real-time display
advertising", WSDM 2016, section 3. Both are told, step by step, what share of the plan was spent.
"""

import math
from dataclasses import dataclass

LARGEST_DUAL = 100.0
FIRST_STEP, LEAST_STEP = 0.3, 0.03
LEAST_PASS_RATE = 0.01
LARGEST_INTEGRAL = 5.0
# Error, its sum and its change; the sum is what holds the rate once it is right.
GAINS = (0.4, 0.2, 0.1)


def adaptive_step(dual: float, *, target: float, spent: float, step: float = 0.3) -> float:
    """The next dual variable: mu <- clip(mu - step (target - spent) / target, 0, LARGEST_DUAL).

    `target` (above 0) and `spent` are amounts of the same stretch of time; dividing by the target makes the step the
    same for small and large budgets. A stretch counts for at most ten times its target, so that one burst does not
    silence a flight for long.
    """
    ratio = min(spent / target, 10.0)
    return min(max(dual - step * (1.0 - ratio), 0.0), LARGEST_DUAL)


def step_size(steps: int) -> float:
    """Of `adaptive_step` after so many steps: large at first, so that the multiplier is found within minutes, small
    later, so that it does not follow chance. It falls with the root of the steps, as stochastic approximation asks."""
    return max(LEAST_STEP, FIRST_STEP / math.sqrt(steps + 1))


def bid_factor(dual: float) -> float:
    """What a bid is multiplied by, in (0, 1]: a value v is bid as v / (1 + mu)."""
    return 1.0 / (1.0 + dual)


@dataclass(frozen=True)
class PidState:
    """`integral` is the sum of the errors so far, `error` the last one."""

    integral: float = 0.0
    error: float = 0.0


def pid_step(state: PidState, *, target: float, spent: float) -> tuple[PidState, float]:
    """(next state, share of the auctions to take part in, in [LEAST_PASS_RATE, 1]).

    The error is 1 - spent / target, at least -2; the share is exp(phi), phi = P e + I sum e + D delta e, where the sum
    is kept from growing beyond what the share can follow (anti-windup).
    """
    error = max(1.0 - spent / target, -2.0)
    integral = min(max(state.integral + error, -LARGEST_INTEGRAL / GAINS[1]), 0.0)
    proportional, integrating, differential = GAINS
    phi = proportional * error + integrating * integral + differential * (error - state.error)
    return PidState(integral, error), min(max(math.exp(phi), LEAST_PASS_RATE), 1.0)
