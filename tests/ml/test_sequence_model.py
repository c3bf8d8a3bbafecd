import pytest
import torch

from ml.data.batches import EventBatch
from ml.nn.encoders import ENCODERS
from ml.nn.sequence_model import SequenceModel

ITEMS, LENGTH = 12, 7


def build(
    encoder: str = "transformer", copying: bool = True, inputs: tuple[str, ...] = ("type", "gap", "value")
) -> SequenceModel:
    torch.manual_seed(0)
    model = SequenceModel(
        items=ITEMS,
        types=2,
        encoder=encoder,
        dimension=16,
        layers=2,
        heads=2,
        dropout=0.3,
        max_length=LENGTH,
        inputs=inputs,
        copying=copying,
    )
    torch.nn.init.normal_(model.bias)
    return model.eval()


def events(seed: int = 0) -> EventBatch:
    generator = torch.Generator().manual_seed(seed)
    shape = (4, LENGTH)
    length = torch.tensor([7, 5, 2, 1])
    real = torch.arange(LENGTH) < length[:, None]
    value = torch.rand(shape, generator=generator)
    return EventBatch(
        item=torch.randint(1, ITEMS + 1, shape, generator=generator) * real,
        type=torch.randint(0, 3, shape, generator=generator) * real,
        gap=torch.randint(0, 32, shape, generator=generator) * real,
        value=torch.where(real & (value > 0.5), value, torch.nan),
        length=length,
    )


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
@pytest.mark.parametrize("copying", [True, False])
def test_what_training_maximises_is_what_ranking_answers(encoder: str, copying: bool) -> None:
    model, batch = build(encoder, copying), events()
    ranking = model.rank(batch)
    last = batch.length - 1
    rows = torch.arange(len(last))
    for wanted in range(1, ITEMS + 1):
        target = torch.zeros_like(batch.item)
        target[rows, last] = wanted
        trained = model.log_probability(batch, target).detach().exp()
        torch.testing.assert_close(ranking.probability[:, wanted - 1], trained, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ranking.probability.sum(dim=1), torch.ones(4))


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_no_state_sees_the_padding(encoder: str) -> None:
    model, batch = build(encoder), events()
    ranking = model.rank(batch)
    shorter = EventBatch(
        batch.item[1:2, :5], batch.type[1:2, :5], batch.gap[1:2, :5], batch.value[1:2, :5], batch.length[1:2]
    )
    torch.testing.assert_close(model.rank(shorter).probability, ranking.probability[1:2])


@pytest.mark.parametrize("encoder", sorted(set(ENCODERS) - {"bidirectional"}))
def test_no_state_sees_a_later_event(encoder: str) -> None:
    model, batch = build(encoder), events()
    states = model.encoder(model.embedding(batch))
    changed = events(seed=1)
    for name in ("item", "type", "gap", "value"):
        getattr(changed, name)[:, :3] = getattr(batch, name)[:, :3]
    torch.testing.assert_close(model.encoder(model.embedding(changed))[:1, :3], states[:1, :3])


def test_a_bidirectional_state_sees_both_ways_but_no_event_that_is_to_be_predicted() -> None:
    """The third and the sixth event are targets: what they are changes no prediction of them, other events do."""
    model, batch = build("bidirectional"), events()
    target = torch.zeros_like(batch.item)
    target[0, 1], target[0, 4] = 3, 8
    expected = model.log_probability(batch, target)

    def after_change(place: int) -> torch.Tensor:
        changed = events()
        for name in ("item", "type", "gap", "value"):
            getattr(changed, name)[0, place] = 2
        return model.log_probability(changed, target)

    for hidden in (2, 5):
        assert torch.equal(after_change(hidden), expected)
    for seen in (0, 3, 6):
        assert (after_change(seen) != expected).all()


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_attention_sums_to_one_over_the_real_events_and_a_score_splits_exactly_into_them(encoder: str) -> None:
    model, batch = build(encoder, copying=False), events()
    ranking = model.rank(batch)
    torch.testing.assert_close(ranking.weight.sum(dim=1), torch.ones(4))
    assert not ranking.weight[~batch.real()].any()
    for row in range(4):
        shares = ranking.logit_shares(row, model.table)
        assert shares.shape == (LENGTH, ITEMS)
        logit = shares.sum(dim=0) + model.bias
        torch.testing.assert_close(logit.softmax(dim=0), ranking.generated[row])


def test_copied_mass_lies_on_the_items_of_the_history_alone() -> None:
    model, batch = build(), events()
    ranking = model.rank(batch)
    copied = ranking.probability - (1 - ranking.copy_share)[:, None] * ranking.generated
    for row in range(4):
        history = batch.item[row, : batch.length[row]] - 1
        torch.testing.assert_close(copied[row, history.unique()].sum(), ranking.copy_share[row])


@pytest.mark.parametrize("switched_off", ["type", "gap", "value"])
def test_an_input_that_is_switched_off_changes_nothing(switched_off: str) -> None:
    inputs = tuple(name for name in ("type", "gap", "value") if name != switched_off)
    model, batch, changed = build(inputs=inputs), events(), events()
    replacement = torch.ones_like(getattr(batch, switched_off))
    setattr(changed, switched_off, replacement)
    assert torch.equal(model.rank(batch).probability, model.rank(changed).probability)
    assert not torch.equal(build().rank(batch).probability, build().rank(changed).probability)


def test_positions_without_a_target_are_left_out_of_the_loss() -> None:
    model, batch = build(), events()
    target = torch.zeros_like(batch.item)
    target[0, 2] = 3
    assert model.log_probability(batch, target).shape == (1,)
