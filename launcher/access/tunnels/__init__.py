"""Services that lead a public link to a port of this machine: one file each, named in `core.fields`.

`tunnel` runs the chosen one.
"""
