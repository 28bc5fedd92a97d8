"""report.html: the record as one page that is searched and printed, its details and figures in files beside it."""
