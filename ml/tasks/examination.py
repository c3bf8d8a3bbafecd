"""How likely each place of a list is looked at, estimated from what was chosen."""

import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.ranked_lists import RankedLists
from ml.nn.additive_ranker import BUCKETS, AdditiveRanker
from ml.training.listwise import gather_lists, listwise_softmax

FILE = "examination.npy"
# The newest lists; many more would not make the estimate much better.
LISTS_READ = 5_000
STEPS = 100
# Of what features add; without it a feature that follows the place (the client's rank) could take all of its credit.
RIDGE = 1e-3
SMALLEST = 0.02


def examination_of(lists: RankedLists) -> NDArray[np.float32]:
    """Probability that a place is looked at, relative to the likeliest one, by bucket; kept beside the lists.

    All orders of these lists are so judged by the same estimate.
    """
    path = Path(lists.path) / FILE
    if path.exists():
        kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return kept
    estimate = estimate_examination(lists)
    partial = path.with_name(f"{FILE}.{os.getpid()}.npy")
    np.save(partial, estimate)
    os.replace(partial, path)
    return estimate


def estimate_examination(lists: RankedLists) -> NDArray[np.float32]:
    """Examination by bucket, (BUCKETS,) in [SMALLEST, 1], by conditional logit (McFadden, 1974).

    Which item of a list is chosen is explained by its features, linearly, and by its place; the place's coefficient is
    the logarithm of its examination. It tells the two apart as far as items of like features stood at different
    places: by ties, by items that were left out, and above all by exploration.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AdditiveRanker(len(lists.names), hidden=1)
    newest = np.arange(max(0, len(lists) - LISTS_READ), len(lists))
    model.standardise_by(lists.features[lists.offsets[newest[0]] :])
    batch = gather_lists(lists, newest)
    searched = [model.slope, model.position]
    optimizer = torch.optim.LBFGS(searched, max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = model(batch.features) + model.position[batch.bucket]
        # Whatever is added to all places alike changes nothing; the smallest ridge settles it.
        value = listwise_softmax(logits, batch) + RIDGE * (model.penalty() + 1e-3 * model.position.square().sum())
        value.backward()
        return value

    optimizer.step(loss)
    place = model.position.detach().numpy()
    shown = np.bincount(batch.bucket[batch.real].numpy(), minlength=BUCKETS) > 0
    relative = np.exp(place - place[shown].max())
    return np.clip(relative, SMALLEST, 1.0).astype(np.float32)
