"""Videos: the one reader of files and streams that `add` and `infer` share, and the writer.

`recorded_video` opens a file, `video_reader` decodes it to its end whatever is damaged on the way,
`frame_clock` makes times of its stamps, `frame_pixels` RGB of its frames; `video_writer` encodes.
docs/decisions/0015-pyav.md tells why all of it is PyAV.
"""

__all__ = [
    "frame_clock",
    "frame_pixels",
    "pyav",
    "recorded_video",
    "salvaged_file",
    "stream_facts",
    "timed_frame",
    "video_reader",
    "video_writer",
]
