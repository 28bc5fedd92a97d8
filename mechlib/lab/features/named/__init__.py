"""Named features: concepts that prompts tell, and what fires on them."""
