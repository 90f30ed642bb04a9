"""Opens a source by its address: `0`, `/dev/video0`, `csi://0`, `rtsp://`, file, folder or glob.

The addresses are those that users of NVIDIA's jetson-inference know.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from pathlib import Path

from edgeseg.disk.stored_paths import home_path
from edgeseg.errors import SourceError
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.imaging.file_names import is_image, is_video
from edgeseg.imaging.footage_walk import is_named, named_files
from edgeseg.imaging.opencv import cv2
from edgeseg.runtime.sources.base import Source
from edgeseg.runtime.sources.http_answer import ask_server, is_recording
from edgeseg.runtime.sources.image_files import ImageFiles
from edgeseg.runtime.sources.live_camera import LiveCamera
from edgeseg.runtime.sources.network_stream import is_finished_playlist, network_connector
from edgeseg.runtime.sources.opencv_capture import opencv_connector
from edgeseg.runtime.sources.source_names import redact, safe_name
from edgeseg.runtime.sources.video_files import VideoFiles

STREAM_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtp", "udp", "tcp", "http", "https"})
DEVICE_FOLDERS = ("/dev/video", "/dev/v4l/")
KNOWN_ADDRESSES = (
    "a camera number, /dev/videoN, csi://N, rtsp://..., a video, a folder of pictures "
    "or a quoted glob"
)
# The sensor of a Jetson through NVIDIA's Argus; appsink keeps one buffer and drops older ones, so
# that the newest frame is read.
CSI_PIPELINE = (
    "nvarguscamerasrc sensor-id={} ! video/x-raw(memory:NVMM) ! nvvidconv ! "
    "video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! "
    "appsink drop=true max-buffers=1 sync=false"
)


def open_source(
    address: str,
    *,
    camera: str | None = None,
    on_message: Callable[[str], None] = lambda message: None,
    depth: DepthRange | None = None,
) -> Source:
    """Open the source that `address` names.

    Args:
        address: A camera, a stream, or files.
        camera: The name to give to the frames' camera; made from the address if left out.
        on_message: Is told, from another thread, when a camera is lost and when it is back.
        depth: The range of values that becomes 0 to 255 in files of more than 8 bits:
            `depth_range` of a bundle's manifest.

    Raises:
        SourceError: There is nothing of that name, or it cannot be opened.
    """
    before, mark, rest = address.partition("://")
    scheme = before.lower() if mark else ""
    if not address:
        raise SourceError(f"the source is empty; give {KNOWN_ADDRESSES}")
    if address.isdecimal() or address.startswith(DEVICE_FOLDERS) or scheme == "v4l2":
        device = rest if scheme == "v4l2" else address
        return _open_device(device, camera or safe_name(device), on_message)
    if scheme == "csi":
        return _open_csi(rest, camera, on_message)
    if scheme and scheme != "file":
        return _open_stream(address, scheme, camera, on_message, depth)
    return _open_files(rest if scheme else address, camera, depth)


def _open_device(device: str, camera: str, on_message: Callable[[str], None]) -> Source:
    number_or_path: int | str = int(device) if device.isdecimal() else device
    connect = opencv_connector(number_or_path, cv2.CAP_V4L2)
    return LiveCamera(connect, device, camera, on_message=on_message)


def _open_csi(sensor: str, camera: str | None, on_message: Callable[[str], None]) -> Source:
    if not sensor.isdecimal():
        raise SourceError(f"csi://{sensor} names no sensor; write csi://0 for the first one")
    if not re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()):
        raise SourceError(
            f"csi://{sensor} needs an OpenCV with GStreamer, which this one ({cv2.__version__}) "
            "lacks; on a Jetson uninstall opencv-python-headless, so that JetPack's own is used"
        )
    connect = opencv_connector(CSI_PIPELINE.format(sensor), cv2.CAP_GSTREAMER)
    return LiveCamera(connect, f"csi://{sensor}", camera or f"csi{sensor}", on_message=on_message)


def _open_stream(
    address: str,
    scheme: str,
    camera: str | None,
    on_message: Callable[[str], None],
    depth: DepthRange | None,
) -> Source:
    shown = redact(address)  # nothing below may say the address itself: it may hold a password
    if scheme not in STREAM_SCHEMES:
        raise SourceError(
            f"{shown} starts with {scheme}://, which is no known kind of source; "
            f"give {KNOWN_ADDRESSES}"
        )
    # "rtsp://bob:***@10.0.0.7:554/live?x=1" gives the place "10.0.0.7:554/live".
    place = shown.partition("://")[2].rpartition("@")[2].partition("?")[0]
    name = camera or safe_name(place)
    was_asked = scheme.startswith("http")
    if was_asked and _is_recording_on_server(address):
        return VideoFiles([address], shown, name, depth=depth)  # of which no frame is lost
    connect = network_connector(address, depth, was_asked=was_asked)
    return LiveCamera(connect, shown, name, on_message=on_message)


def _is_recording_on_server(address: str) -> bool:
    answer = ask_server(address)
    if answer is None:
        return False
    if answer.is_playlist:
        return is_finished_playlist(address)
    return is_recording(address, answer)


def _open_files(address: str, camera: str | None, depth: DepthRange | None) -> Source:
    try:
        paths = named_files(address)
        exists = bool(paths) or is_named(address)
        is_named_file = exists and len(paths) == 1 and paths[0] == Path(address)
    except OSError as error:
        raise SourceError(
            f"{redact(address)} cannot be opened ({error.strerror}); check its name and permissions"
        ) from None
    if not exists and not glob.has_magic(address):
        raise SourceError(f"{redact(address)} does not exist; give {KNOWN_ADDRESSES}")
    images = [path for path in paths if is_image(path)]
    videos = [path for path in paths if is_video(path)]
    if is_named_file and not images:
        videos = paths  # whoever names one file knows what it is: its suffix need not say it
    if images and videos:
        raise SourceError(
            f"{address} holds both pictures and videos; name one kind with a glob such as "
            f"'{address.rstrip('/')}/**/*{images[0].suffix}'"
        )
    if not images and not videos:
        raise SourceError(f"{address} holds no picture or video; give {KNOWN_ADDRESSES}")
    source: ImageFiles | VideoFiles = (
        ImageFiles(images, address, camera, depth)
        if images
        else VideoFiles(videos, address, camera, depth=depth)
    )
    source.reads = [*source.reads, *_walked(address)]
    return source


def _walked(address: str) -> list[Path]:
    """Return the folders in which all files are looked for."""
    path = home_path(Path(address))
    if path.is_dir():
        return [path]
    # "photos/**/*.jpg" walks through all of photos.
    return [Path(address.partition("**")[0] or ".")] if "**" in address else []
