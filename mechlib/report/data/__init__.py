"""The record as data: results.json, tables, a research object, citations; and reading them again."""
