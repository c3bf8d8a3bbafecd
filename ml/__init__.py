"""Sequence models of user behaviour: data, encoders, tasks, training, evaluation and serving, without Django."""
