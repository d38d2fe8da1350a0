"""Files that other programs open: one module a format.

Each module has

- `suffix`: what its files' names end in;
- `write(scene, folder) -> list[Path]`: make the folder where it is missing, write the scene into it
  and return the files, each of which appears whole or not at all (`files.replacing`). A format
  that holds several people writes one `poses<suffix>`, one that holds a single person writes
  `person-<id><suffix>` for each; a file of that name is replaced.

A new format is a new file here: `--export`, `export --format` and the tests find it by its name.
"""
