"""What there is to say of a run's records, in no form yet."""
