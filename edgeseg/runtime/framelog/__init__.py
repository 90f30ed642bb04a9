"""The frame log: the bounded store on the device of the frames worth sending home.

`frame_selection` says which frames are logged, `record_format` what a record looks like on the
disk, `record_store` what happens when the disk is full, `reader` how a log is read.
"""

__all__ = ["frame_log", "reader", "record_export", "record_format", "record_header"]
