"""Services that lead a public link to a port of this machine: one file each. `tunnel` runs the chosen one."""
