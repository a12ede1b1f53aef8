"""What levels weigh: learned without labels, kept as a model, used to score."""
