"""What sums are made of: operands of each split, and the wordings that ask for them."""
