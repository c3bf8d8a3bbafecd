"""A synthetic world of payments with planted frauds whose truth is known, for demonstrations and tests. numpy only.

Customers have a level of spending, an hour of the day, favourite counterparties, a card and a device. Five kinds of
fraud are planted; each leaves another trace:

compromised_counterparty  most payments at a counterparty are stolen cards for some weeks; amounts are ordinary
compromised_card          bursts of payments without the card, from nowhere near the customer's device
account_takeover          a few large payments at night, from a device that was never seen, to new counterparties
amount_outlier            one payment, many times what the customer spends
mule_ring                 customers who share two devices send even amounts to one counterparty
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ml.data.transactions import TransactionColumns

KINDS = (
    "genuine",
    "compromised_counterparty",
    "compromised_card",
    "account_takeover",
    "amount_outlier",
    "mule_ring",
)
TYPES = ["card_present", "card_not_present"]
PRESENT, NOT_PRESENT = range(2)
DAY, HOUR = 86_400.0, 3_600.0
FAVOURITES = 6
FROM_FAVOURITES = 0.85
RING_DEVICES = 2
# Of a compromised counterparty's payments so many are fraud.
STOLEN_SHARE = 0.7

Codes = NDArray[np.int64]
Columns = dict[str, NDArray]


@dataclass(frozen=True)
class TransactionWorld:
    """How large a world is and how much of each fraud is planted in it.

    days from `begins` (Unix seconds); daily_payments a customer makes on average. takeovers, compromised_cards and
    outliers count customers, rings have `ring_size` customers each. Labels come label_delay_days after the payment on
    average, for reported_share of the frauds; false_alarm_share of the genuine payments are taken for fraud and cleared
    as many days later.
    """

    customers: int = 500
    counterparties: int = 200
    days: int = 60
    daily_payments: float = 1.0
    begins: float = 1_780_272_000.0
    compromised_counterparties: int = 4
    compromised_cards: int = 8
    takeovers: int = 8
    outliers: int = 15
    rings: int = 1
    ring_size: int = 6
    window_days: float = 14.0
    label_delay_days: float = 7.0
    reported_share: float = 0.95
    false_alarm_share: float = 0.0005
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError that names the setting at fault."""
        for each in fields(self):
            if not getattr(self, each.name) >= 0:
                raise ValueError(f"{each.name} must be 0 or more")
        if self.counterparties < FAVOURITES or self.customers < 1 or self.days < 1:
            raise ValueError(f"a world needs customers, days and at least {FAVOURITES} counterparties")
        if self.compromised_cards + self.takeovers + self.rings * self.ring_size > self.customers:
            raise ValueError("compromised_cards, takeovers and rings need more customers than there are")
        if self.compromised_counterparties > self.counterparties:
            raise ValueError("compromised_counterparties must not be more than counterparties")
        if max(self.reported_share, self.false_alarm_share) > 1.0:
            raise ValueError("reported_share and false_alarm_share must lie in 0..1")


@dataclass(frozen=True)
class SimulatedTransactions:
    """Transactions in the order of their time, and of each its kind (n,), an index into KINDS with 0 for genuine."""

    columns: TransactionColumns
    kind: NDArray[np.int8]

    @property
    def fraud(self) -> NDArray[np.bool_]:
        """(n,), whether or not it will ever be known."""
        return self.kind > 0


@dataclass(frozen=True)
class _People:
    """What is usual for each customer: log of the amount with its spread, hour of the day, payments a day, and
    FAVOURITES counterparties."""

    level: NDArray[np.float64]
    spread: NDArray[np.float64]
    hour: NDArray[np.float64]
    rate: NDArray[np.float64]
    favourites: Codes


def simulate_transactions(world: TransactionWorld) -> SimulatedTransactions:
    """The same world gives the same transactions."""
    generator = np.random.default_rng(world.seed)
    people = _people(world, generator)
    usual = _usual_payments(world, people, generator)
    _compromise_counterparties(world, usual, generator)
    _inflate(world, usual, generator)
    # No customer has two of the planted troubles, so that each kind can be told apart.
    chosen = generator.permutation(world.customers)
    cards, takeovers, rings = np.split(chosen, [world.compromised_cards, world.compromised_cards + world.takeovers])
    parts = [
        usual,
        _card_bursts(world, people, cards, generator),
        _takeovers(world, people, takeovers, generator),
        *(_ring(world, people, rings, number, generator) for number in range(world.rings)),
    ]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in usual}
    order = np.argsort(columns["time"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    kind = columns.pop("kind").astype(np.int8)
    columns |= _labels(world, columns["time"], kind, generator)
    columns["amount"] = np.round(columns["amount"], 2)
    return SimulatedTransactions(TransactionColumns.of(types=TYPES, **columns), kind)


def _people(world: TransactionWorld, generator: np.random.Generator) -> _People:
    return _People(
        level=generator.normal(3.5, 0.6, world.customers),
        spread=generator.uniform(0.3, 0.6, world.customers),
        hour=generator.normal(14.0, 3.0, world.customers),
        rate=world.daily_payments * generator.gamma(4.0, 0.25, world.customers),
        favourites=_any_counterparty(world, (world.customers, FAVOURITES), generator),
    )


def _any_counterparty(world: TransactionWorld, shape: int | tuple[int, int], generator: np.random.Generator) -> Codes:
    """Few are popular: the share of the r-th falls with 1 / (r + 10)."""
    weight = 1.0 / (np.arange(world.counterparties) + 10.0)
    return generator.choice(world.counterparties, size=shape, p=weight / weight.sum())


def _usual_payments(world: TransactionWorld, people: _People, generator: np.random.Generator) -> Columns:
    customer = np.repeat(np.arange(world.customers), generator.poisson(people.rate * world.days))
    day = generator.integers(0, world.days, len(customer))
    hour = generator.normal(people.hour[customer], 3.0) % 24.0
    favourite = people.favourites[customer, generator.integers(0, FAVOURITES, len(customer))]
    other = _any_counterparty(world, len(customer), generator)
    present = generator.random(len(customer)) < 0.7
    return _payments(
        time=world.begins + day * DAY + hour * HOUR,
        amount=np.exp(generator.normal(people.level[customer], people.spread[customer])),
        customer=customer,
        counterparty=np.where(generator.random(len(customer)) < FROM_FAVOURITES, favourite, other),
        device=np.where(present, -1, customer),
        type=np.where(present, PRESENT, NOT_PRESENT),
        kind="genuine",
    )


def _compromise_counterparties(world: TransactionWorld, usual: Columns, generator: np.random.Generator) -> None:
    for counterparty in generator.choice(world.counterparties, world.compromised_counterparties, replace=False):
        begins = _moments(world, world.window_days, 1, generator)[0]
        within = (usual["time"] >= begins) & (usual["time"] < begins + world.window_days * DAY)
        there = np.flatnonzero(within & (usual["counterparty"] == counterparty))
        stolen = there[generator.random(len(there)) < STOLEN_SHARE]
        usual["kind"][stolen] = KINDS.index("compromised_counterparty")


def _inflate(world: TransactionWorld, usual: Columns, generator: np.random.Generator) -> None:
    genuine = np.flatnonzero(usual["kind"] == 0)
    chosen = generator.choice(genuine, min(world.outliers, len(genuine)), replace=False)
    usual["amount"][chosen] *= generator.uniform(8.0, 15.0, len(chosen))
    usual["kind"][chosen] = KINDS.index("amount_outlier")


def _card_bursts(world: TransactionWorld, people: _People, victims: Codes, generator: np.random.Generator) -> Columns:
    """Two bursts of 4 to 8 payments within an hour for each card, within a week."""
    bursts = np.repeat(victims, 2)
    week = np.repeat(_moments(world, 7.0, len(victims), generator), 2)
    starts = week + generator.uniform(0.0, min(7.0, world.days) * DAY - HOUR, len(bursts))
    count = generator.integers(4, 9, len(bursts))
    customer = np.repeat(bursts, count)
    return _payments(
        time=np.repeat(starts, count) + generator.uniform(0.0, HOUR, len(customer)),
        amount=np.exp(people.level[customer]) * generator.uniform(1.5, 4.0, len(customer)),
        customer=customer,
        counterparty=_any_counterparty(world, len(customer), generator),
        device=np.full(len(customer), -1),
        type=np.full(len(customer), NOT_PRESENT),
        kind="compromised_card",
    )


def _takeovers(world: TransactionWorld, people: _People, victims: Codes, generator: np.random.Generator) -> Columns:
    """3 to 6 payments between one and three o'clock at night, from one new device for each victim."""
    count = generator.integers(3, 7, len(victims))
    customer = np.repeat(victims, count)
    night = world.begins + generator.integers(world.days // 2, world.days, len(victims)) * DAY + HOUR
    return _payments(
        time=np.repeat(night, count) + generator.uniform(0.0, 2 * HOUR, len(customer)),
        amount=np.exp(people.level[customer]) * generator.uniform(3.0, 7.0, len(customer)),
        customer=customer,
        counterparty=generator.integers(0, world.counterparties, len(customer)),
        device=np.repeat(world.customers + np.arange(len(victims)), count),
        type=np.full(len(customer), NOT_PRESENT),
        kind="account_takeover",
    )


def _ring(
    world: TransactionWorld, people: _People, customers: Codes, number: int, generator: np.random.Generator
) -> Columns:
    """Each member sends 5 to 10 even amounts to a counterparty of the ring's own, through its shared devices."""
    members = customers[number * world.ring_size : (number + 1) * world.ring_size]
    begins = _moments(world, world.window_days, 1, generator)[0]
    customer = np.repeat(members, generator.integers(5, 11, len(members)))
    first_device = world.customers + world.takeovers + number * RING_DEVICES
    return _payments(
        time=begins + generator.uniform(0.0, min(world.window_days, world.days) * DAY, len(customer)),
        amount=100.0 * generator.integers(2, 10, len(customer)),
        customer=customer,
        counterparty=np.full(len(customer), world.counterparties + number),
        device=first_device + generator.integers(0, RING_DEVICES, len(customer)),
        type=np.full(len(customer), NOT_PRESENT),
        kind="mule_ring",
    )


def _payments(
    *, time: NDArray, amount: NDArray, customer: Codes, counterparty: Codes, device: Codes, type: NDArray, kind: str
) -> Columns:
    """A customer has one card, of the same code."""
    return {
        "time": time,
        "amount": amount.astype(np.float64),
        "customer": customer,
        "counterparty": counterparty,
        "device": device,
        "card": customer.copy(),
        "type": type,
        "kind": np.full(len(time), KINDS.index(kind)),
    }


def _moments(world: TransactionWorld, lasting: float, count: int, generator: np.random.Generator) -> NDArray:
    """Starts of what lasts so many days, in the later two thirds of the world, so that there is a past to compare."""
    first, last = world.days / 3.0, max(world.days / 3.0, world.days - lasting)
    if lasting > world.days - first:
        first = last = max(0.0, world.days - lasting)
    return world.begins + generator.uniform(first, last, count) * DAY


def _labels(world: TransactionWorld, time: NDArray, kind: NDArray[np.int8], generator: np.random.Generator) -> Columns:
    delay = generator.gamma(4.0, max(world.label_delay_days, 1e-9) / 4.0, (2, len(time))) * DAY
    reported = (kind > 0) & (generator.random(len(time)) < world.reported_share)
    mistaken = (kind == 0) & (generator.random(len(time)) < world.false_alarm_share)
    known_at = np.where(reported | mistaken, time + delay[0], np.inf)
    return {"fraud_known_at": known_at, "cleared_at": np.where(mistaken, known_at + delay[1], np.inf)}
