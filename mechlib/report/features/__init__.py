"""The browser of features: cards that the lab made, filed small, and the page that is built of them."""
