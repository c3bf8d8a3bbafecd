"""What may be named without torch is what there is."""

from ml.nn.encoders import ENCODERS
from ml.nn.names import ENCODER_NAMES, RISK_ENCODERS
from ml.tasks.configurations import CONFIGURATIONS
from ml.tasks.registry import TASKS


def test_each_encoder_can_be_named() -> None:
    assert set(ENCODER_NAMES) == set(ENCODERS)
    assert set(RISK_ENCODERS) < set(ENCODERS)


def test_each_task_has_its_configuration() -> None:
    assert CONFIGURATIONS.keys() == TASKS.keys()
