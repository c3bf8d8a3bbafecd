"""Full-ranking metrics and the baselines that need no training."""
