"""The program's manual page and its completion for bash, made from its parser."""
