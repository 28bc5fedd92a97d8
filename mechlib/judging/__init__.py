"""Judging: all that knows pytest. A claim is read, collected, run on its model and twins, recorded, verified."""
