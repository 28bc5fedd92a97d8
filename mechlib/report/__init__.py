"""The report of a run: `content` is what there is to say of its records, `outputs` are the forms in which it is said.

`content.record_book.RecordBook` is made once a run; `outputs.writing.write` writes all files from it.
"""
