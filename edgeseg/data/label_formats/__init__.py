"""The exports of other label tools, read and written: one module for each format.

`readers/` and `writers/` hold the formats, `registry` tells which one an export is. Every reader
gives the images that it found labels for, and draws the mask of each when it is asked to; names of
classes become ids in `class_names`, shapes become pixels in `canvas`. Text and archives come from
strangers: `export_files` bounds what is read, `zip_files` what is unpacked.
"""

__all__ = ["add_export", "class_files", "export_labels"]
