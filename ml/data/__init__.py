"""Event sequences in memory-mapped columns, vocabularies, splits and batches."""
