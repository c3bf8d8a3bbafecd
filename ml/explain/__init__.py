"""Which of a subject's events an item's score is owed to, through which member of the mixture."""
