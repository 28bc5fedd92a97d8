"""The forms in which the record book is read: pages, REPORT.md and its figures, results.json, the terminal."""
