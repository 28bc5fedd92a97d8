"""Prompts for pretrained models: which words and sentences they are made of, and which style a model is asked in."""
