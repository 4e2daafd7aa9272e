"""What people read, each in its own language. Programs, the log and the commands have English alone.

A sentence stands in the sources in English, marked for translation. A page takes it from the catalogue of the language
in which it is read (`authority.language.reading`); the catalogues are made by docs/languages/catalogues.py.
"""
