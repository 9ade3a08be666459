"""Turns the export into the package that is sent, by the steps that a feed declares.

build     the entry: the steps in their order
built     the result
outgoing  the entry for a feed, with validation
source    the export's files, by the format's own names
rows      the rows of a file, as bytes and the offsets of their fields
values    hashes, lists and blanks of many fields at once
edits     bytes to remove from some rows, and capitals to lower
repairs   the mechanical repairs, by name
graph     references between rows, and the rows that are removed with others
scope     the rows in a feed's scope
waiting   rows of the last accepted package that are kept
rewrite   writes the package with the changes of a step
writer    a zip whose bytes depend on its content only

No row is written anew. A step removes bytes or lowers capitals. All other bytes are those of the
export. So nothing changes without a declared step, and validation finds every fault that no step
repairs.
"""
