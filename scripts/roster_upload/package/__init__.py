"""From the export to the package that is sent: the steps that a feed declares, and no other.

build     the entry: the steps in their order
source    the export's files, by the format's own names
rows      the rows of a file, as bytes and the places of their fields
values    hashes, lists and blanks of many fields at once
edits     what is taken away from some rows
repairs   the mechanical repairs, by name
graph     which row refers to which, and what goes when some rows go
scope     which rows a feed asks for
waiting   rows of the last accepted package that are kept
writer    a zip whose bytes depend on its content only

No row is ever written anew. A step takes bytes away or lowers capitals, and all other bytes are
those of the export. So nothing is changed that no step names, and a fault that no step repairs
stays where validation finds it.
"""
