"""The configuration of the next-item task: defaults with their reasons, and a check that names what is wrong."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from ml.evaluation.session_neighbors import NeighborSettings
from ml.nn.encoders import ENCODERS
from ml.nn.inputs import DEFAULT_INPUTS, INPUTS
from ml.tasks.head_settings import head_problems
from ml.tasks.search_space import SearchSpace

SplitKind = Literal["global_time", "leave_one_out"]
LossKind = Literal["auto", "full", "sampled", "gbce"]
Objective = Literal["auto", "next", "masked"]
ScheduleKind = Literal["constant", "cosine"]
TextEncoderKind = Literal["frozen", "fine_tuned"]
Device = Literal["auto", "cpu", "cuda"]
# Whether a value will do, and what it must be in words.
Requirement = tuple[Callable[[Any], bool], str]


@dataclass(frozen=True)
class NextItemConfig:
    """Settings of one training run; every field may be given in the `config` dict of `fit`."""

    # Data
    split: SplitKind = "global_time"
    validation_quantile: float = 0.8
    test_quantile: float = 0.9
    # Every item event of the holdout is a case. With False only each subject's first one is, which leaves small logs
    # with too few cases to tell two models apart.
    successive: bool = True
    # Cases beyond this many are sampled, by the seed: the standard error of NDCG@10 is below .004 at 10,000.
    evaluation_cases: int = 10_000
    # Published MovieLens and Amazon figures take away the items that the subject has seen before ranking.
    exclude_seen: bool = False
    # Mixtures are compared on lists of this length, by NDCG.
    list_length: int = 10
    max_length: int = 50
    # After a warm start each epoch replays this many older windows for each one with new events, against forgetting.
    replay: float = 1.0
    # Network
    encoder: str = "transformer"
    dimension: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.1
    inputs: tuple[str, ...] = DEFAULT_INPUTS
    # The share of the items that a step describes by attributes and text alone, for the sake of items yet to come.
    id_dropout: float = 0.1
    # Whether the encoder of the input text is tuned, before training, on items that follow each other in the log, and
    # for how many steps. A step of 64 pairs takes one to two seconds on one core where texts are titles.
    text_encoder: TextEncoderKind = "frozen"
    text_steps: int = 100
    # A copy head for repeats; None lets the data decide.
    copying: bool | None = None
    # Besides the next item: {"next_type": {}, "purchase": {"days": 7, "types": ["purchase"]}, "churn": {"days": 30}},
    # or some of them.
    prediction_heads: dict[str, dict[str, Any]] | None = None
    # What each loss counts, such as {"next_item": 1, "churn": 0.3}, 1 where a name is missing; "uncertainty" lets the
    # losses weigh themselves.
    loss_weights: dict[str, float] | str | None = None
    # Loss
    # "masked" hides random events from an encoder that looks both ways: pretraining, and the default of such an
    # encoder. "next" asks about the end of what is read alone, as predicting does: every other encoder's, and the
    # one to fine-tune with.
    objective: Objective = "auto"
    loss: LossKind = "auto"
    negatives: int = 2048
    # Of "gbce": 0 is plain binary cross-entropy, 1 gives calibrated sigmoids; .75 ranks best in the paper.
    calibration: float = 0.75
    # Of the objective "masked": the share of the events to be guessed at a time, besides the last one.
    mask_share: float = 0.2
    # How much a target of an event type counts, such as {"purchase": 1, "view": 0.2}; 1 where a type is not named.
    # Weights learned by uncertainty would favour the types that are easy to predict, and not those that matter.
    type_weights: dict[str, float] | None = None
    # Training
    batch_tokens: int = 1024
    learning_rate: float = 3e-3
    # "cosine" falls to 0 over the epochs or the budget; it gets most out of a run that is not stopped early.
    schedule: ScheduleKind = "constant"
    # The average of the weights over about 1 / (1 - averaging) steps is what is judged and kept; 0 takes the last ones.
    averaging: float = 0.0
    weight_decay: float = 0.0
    epochs: int = 30
    patience: int = 3
    # Training ends after this many minutes with the best epoch by then; such a run is not repeatable to the bit.
    budget_minutes: float | None = None
    checkpoint_seconds: float = 30.0
    seed: int = 0
    threads: int | None = None
    device: Device = "auto"
    mixed_precision: bool = True
    compile: bool = False
    memory_budget_mb: int = 4096
    # {"trials": 20, "space": {"layers": [1, 2], "dropout": {"low": 0.0, "high": 0.5}}}: settings to search for on the
    # validation cases before training.
    search: dict[str, Any] | None = None
    # Rules
    rule_gap: int = 10
    rule_window: int = 10
    rule_successors: int | None = 200
    # Session neighbours beside the rules: settings of NeighborSettings, {} for its defaults, null to leave them out.
    neighbors: dict[str, float] | None = field(default_factory=dict)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "NextItemConfig":
        """Raises ValueError that names each unknown or unusable setting."""
        known = {setting.name for setting in fields(cls)}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ValueError(f"unknown settings {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        values = dict(settings)
        if isinstance(values.get("inputs"), list):
            values["inputs"] = tuple(values["inputs"])
        config = cls(**values)
        problems = config._problems()
        if problems:
            raise ValueError("; ".join(problems))
        return config

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "inputs": list(self.inputs)}

    def _problems(self) -> list[str]:
        problems = [
            f"{name} must be {requirement}"
            for names, holds, requirement in REQUIREMENTS
            for name in names.split()
            if not holds(getattr(self, name))
        ]
        if not problems and self.dimension % self.heads:
            problems.append(f"dimension {self.dimension} must be a multiple of heads {self.heads}")
        if self.loss == "gbce" and self.copying:
            problems.append("copying must be false or null with loss gbce, which gives no probability to mix with")
        problems.extend(self._neighbors_problems())
        if self.objective == "masked" and self.encoder != "bidirectional":
            problems.append(
                f"objective masked needs encoder bidirectional: {self.encoder} sees no event after a masked one"
            )
        problems.extend(head_problems(self.prediction_heads, self.loss_weights, self.split))
        if not problems and self.search is not None:
            problems.extend(self._search_problems())
        return problems

    def _neighbors_problems(self) -> list[str]:
        if self.neighbors is None:
            return []
        try:
            NeighborSettings.from_dict(self.neighbors)
        except ValueError as error:
            return [str(error)]
        return []

    def _search_problems(self) -> list[str]:
        try:
            corners = list(SearchSpace.from_dict(self.search).corners())
        except ValueError as error:
            return [str(error)]
        known = {setting.name for setting in fields(self)}
        unknown = sorted({name for name, _ in corners} - known)
        if unknown:
            return [f"search.space has unknown settings {', '.join(unknown)}"]
        return [
            f"search.space.{name} holds {value!r}; it must be {requirement}"
            for names, holds, requirement in REQUIREMENTS
            for name, value in corners
            if name in names.split() and not holds(tuple(value) if isinstance(value, list) else value)
        ]


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    return _whole(value) or (isinstance(value, float) and math.isfinite(value))


def _weights(value: object) -> bool:
    return isinstance(value, dict) and all(_number(weight) and weight >= 0 for weight in value.values())


def _one_of(allowed: Iterable[str]) -> Requirement:
    names = tuple(allowed)
    return lambda value: value in names, f"one of {', '.join(names)}"


REQUIREMENTS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("split", *_one_of(get_args(SplitKind))),
    ("loss", *_one_of(get_args(LossKind))),
    ("objective", *_one_of(get_args(Objective))),
    ("schedule", *_one_of(get_args(ScheduleKind))),
    ("device", *_one_of(get_args(Device))),
    ("text_encoder", *_one_of(get_args(TextEncoderKind))),
    ("encoder", *_one_of(ENCODERS)),
    (
        "evaluation_cases list_length max_length dimension layers heads negatives batch_tokens epochs patience "
        "rule_gap rule_window memory_budget_mb text_steps",
        lambda value: _whole(value) and value >= 1,
        "a whole number of 1 or more",
    ),
    ("threads rule_successors", lambda value: value is None or (_whole(value) and value >= 1), "null, or 1 or more"),
    ("budget_minutes", lambda value: value is None or (_number(value) and value > 0), "null, or above 0"),
    ("seed", lambda value: _whole(value) and value >= 0, "a whole number of 0 or more"),
    ("weight_decay checkpoint_seconds replay", lambda value: _number(value) and value >= 0, "0 or more"),
    ("learning_rate", lambda value: _number(value) and value > 0, "above 0"),
    ("dropout id_dropout averaging", lambda value: _number(value) and 0 <= value < 1, "at least 0 and below 1"),
    ("calibration", lambda value: _number(value) and 0 <= value <= 1, "between 0 and 1"),
    ("mask_share", lambda value: _number(value) and 0 <= value < 1, "at least 0 and below 1"),
    ("type_weights", lambda value: value is None or _weights(value), "null, or weights of 0 or more by event type"),
    ("validation_quantile test_quantile", lambda value: _number(value) and 0 < value < 1, "between 0 and 1"),
    ("successive exclude_seen mixed_precision compile", lambda value: isinstance(value, bool), "true or false"),
    ("copying", lambda value: value is None or isinstance(value, bool), "true, false or null"),
    (
        "inputs",
        lambda value: isinstance(value, tuple) and all(name in INPUTS for name in value),
        f"a list of some of {', '.join(INPUTS)}",
    ),
)
