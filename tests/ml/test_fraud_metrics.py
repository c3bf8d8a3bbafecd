"""The handbook's protocol and card precision, on days small enough to check by hand."""

import numpy as np
import pytest

from ml.evaluation.fraud import Fold, card_precision, fraud_metrics, unknown_rows, within


def test_a_fold_has_a_week_of_training_one_of_delay_and_one_of_test() -> None:
    fold = Fold(10)
    assert (list(fold.train), list(fold.test)) == (list(range(10, 17)), list(range(24, 31)))
    assert within(np.array([9, 10, 16, 17]), fold.train).tolist() == [False, True, True, False]


def test_customers_who_are_known_to_be_compromised_by_a_test_day_are_left_out_of_it() -> None:
    # Customer 0 was found in the training week, 1 on its day after, 2 in the delay week but too late for this day.
    day = np.array([3, 7, 8, 14, 14, 14, 14, 15, 16])
    customer = np.array([0, 1, 2, 0, 1, 2, 3, 1, 2])
    fraud = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0])
    kept = unknown_rows(Fold(0), day, customer, fraud)
    assert kept.tolist() == [4, 5, 6]


def test_card_precision_counts_customers_by_day_and_each_found_one_once() -> None:
    day = np.array([0, 0, 0, 0, 1, 1, 1])
    customer = np.array([1, 1, 2, 3, 1, 2, 3])
    fraud = np.array([0, 1, 0, 1, 1, 0, 1])
    probability = np.array([0.1, 0.9, 0.8, 0.7, 1.0, 0.9, 0.2])
    # Day 0: customers 1 and 2, one of them right. Day 1, without customer 1: 2 and 3, one of them right.
    assert card_precision(probability, fraud, customer, day, cards=2) == pytest.approx(0.5)
    # One customer a day: 1, and then 2, who is wrong.
    assert card_precision(probability, fraud, customer, day, cards=1) == pytest.approx(0.5)


def test_days_with_fewer_customers_than_cards_are_still_divided_by_the_cards() -> None:
    one = np.array([1])
    assert card_precision(np.array([0.5]), one, one, one, cards=100) == pytest.approx(0.01)


def test_without_a_row_there_is_no_card_precision() -> None:
    empty = np.zeros(0, dtype=np.int64)
    with pytest.raises(ValueError, match="needs a transaction"):
        card_precision(empty, empty, empty, empty)


def test_the_three_figures_of_a_perfect_order() -> None:
    fraud = np.array([0, 1, 0, 1])
    found = fraud_metrics(fraud.astype(float), fraud, np.arange(4), np.zeros(4, dtype=np.int64))
    assert found == {"auc": 1.0, "average_precision": 1.0, "card_precision_100": pytest.approx(0.02)}
