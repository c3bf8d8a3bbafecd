"""The configuration of the next-item task: defaults with their reasons, and a check that names what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, Self, get_args

from ml.evaluation.session_neighbors import NeighborSettings
from ml.nn.names import DEFAULT_INPUTS, ENCODER_NAMES, INPUTS, Device
from ml.tasks.head_settings import head_problems
from ml.tasks.search_space import SearchSpace
from ml.tasks.settings import (
    BELOW_ONE,
    COUNT,
    COUNT_OR_NULL,
    DEPTH,
    DEVICE,
    LENGTH,
    NOT_NEGATIVE,
    PASSES,
    POSITIVE,
    POSITIVE_OR_NULL,
    QUANTILE,
    SEED,
    SHARE,
    STEPS,
    SWITCH,
    WIDTH,
    Requirement,
    TaskSettings,
    is_weights,
    one_of,
    whole,
)

SplitKind = Literal["global_time", "leave_one_out"]
LossKind = Literal["auto", "full", "sampled", "gbce"]
Objective = Literal["auto", "next", "masked"]
ScheduleKind = Literal["constant", "cosine"]
TextEncoderKind = Literal["frozen", "fine_tuned"]


@dataclass(frozen=True)
class NextItemConfig(TaskSettings):
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

    checks: ClassVar[Mapping[str, Requirement]] = {
        "split": one_of(get_args(SplitKind)),
        "loss": one_of(get_args(LossKind)),
        "objective": one_of(get_args(Objective)),
        "schedule": one_of(get_args(ScheduleKind)),
        "device": DEVICE,
        "text_encoder": one_of(get_args(TextEncoderKind)),
        "encoder": one_of(ENCODER_NAMES),
        **dict.fromkeys(("evaluation_cases", "list_length", "negatives", "batch_tokens", "memory_budget_mb"), COUNT),
        "max_length": LENGTH,
        "dimension": WIDTH,
        **dict.fromkeys(("layers", "heads"), DEPTH),
        **dict.fromkeys(("epochs", "patience"), PASSES),
        "text_steps": STEPS,
        **dict.fromkeys(("rule_gap", "rule_window"), whole(1, 1_000)),
        **dict.fromkeys(("threads", "rule_successors"), COUNT_OR_NULL),
        "budget_minutes": POSITIVE_OR_NULL,
        "seed": SEED,
        **dict.fromkeys(("weight_decay", "checkpoint_seconds", "replay"), NOT_NEGATIVE),
        "learning_rate": POSITIVE,
        **dict.fromkeys(("dropout", "id_dropout", "averaging", "mask_share"), BELOW_ONE),
        "calibration": SHARE,
        "type_weights": (
            lambda value: value is None or is_weights(value),
            "null, or weights of 0 or more by event type",
        ),
        **dict.fromkeys(("validation_quantile", "test_quantile"), QUANTILE),
        **dict.fromkeys(("successive", "exclude_seen", "mixed_precision", "compile"), SWITCH),
        "copying": (lambda value: value is None or isinstance(value, bool), "true, false or null"),
        "inputs": (
            lambda value: isinstance(value, tuple) and all(name in INPUTS for name in value),
            f"a list of some of {', '.join(INPUTS)}",
        ),
    }

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Raises ValueError that names each unknown or unusable setting."""
        given = settings.get("inputs")
        return super().from_dict({**settings, "inputs": tuple(given)} if isinstance(given, list) else settings)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "inputs": list(self.inputs)}

    def contradictions(self) -> list[str]:
        problems = []
        if self.dimension % self.heads:
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
            for name, (holds, requirement) in self.checks.items()
            for named, value in corners
            if named == name and not holds(tuple(value) if isinstance(value, list) else value)
        ]
