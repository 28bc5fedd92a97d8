"""The paper: docs/paper.md with every number looked up in the record, as REPORT.md, a PDF, macros and references."""
