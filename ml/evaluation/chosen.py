"""How well an order of shown lists would have placed what was chosen from them, whatever its place was then."""

import numpy as np
from numpy.typing import NDArray

from ml.data.ranked_lists import Indices, RankedLists
from ml.evaluation.ranking import ndcg
from ml.nn.additive_ranker import position_bucket

# A choice at a place that few look at counts at most so many times one at the first: bias against variance.
LARGEST_WEIGHT = 10.0


def choice_gains(
    lists: RankedLists, chosen: Indices, scores: NDArray[np.floating], examination: NDArray[np.floating]
) -> NDArray[np.float64]:
    """NDCG@10 of each choice in these lists under an order by falling `scores` (rows,), weighted; (choices,).

    Each choice counts its grade divided by how likely its place was looked at (inverse propensity weights: Joachims et
    al., 2017, WSDM), and weights are divided by their mean (self-normalised), so that the mean of the gains is the
    metric. examination (BUCKETS,) in (0, 1]. Items that tie with a chosen one rank before it.
    """
    rows, real = lists.padded_rows(chosen)
    padded = np.where(real, scores[rows], -np.inf)
    at_list, at_place = np.nonzero(real & (lists.grade[rows] > 0))
    choice = rows[at_list, at_place]
    ranks = np.count_nonzero(padded[at_list] >= padded[at_list, at_place][:, None], axis=1)
    seen = examination[position_bucket(lists.rank[choice])]
    weight = lists.grade[choice] * np.minimum(1.0 / seen, LARGEST_WEIGHT)
    return ndcg(ranks, 10) * weight / weight.mean() if len(weight) else np.zeros(0)
