"""Sources by the addresses that users of jetson-inference know: `0`, `csi://0`, `rtsp://`, a file,
a folder, a glob.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeseg.errors import SourceError
from edgeseg.imaging.file_names import is_image, natural_sort_key
from edgeseg.imaging.opencv import cv2
from edgeseg.runtime.sources.base import Source, redact, safe_name
from edgeseg.runtime.sources.live_camera import LiveCamera, opencv_connector
from edgeseg.runtime.sources.recorded_files import VIDEO_SUFFIXES, ImageFiles, VideoFiles

STREAMS = frozenset({"rtsp", "rtsps", "rtmp", "rtp", "udp", "tcp", "http", "https"})
KNOWN = "a camera number, /dev/videoN, csi://N, rtsp://..., a video, a folder of pictures or a quoted glob"
CSI = (
    "nvarguscamerasrc sensor-id={} ! video/x-raw(memory:NVMM) ! nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! "
    "video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
)


def open_source(
    address: str,
    *,
    camera: str | None = None,
    on_message: Callable[[str], None] = lambda message: None,
) -> Source:
    """The source that `address` names.

    Args:
        camera: the name to give to the frames' camera; made from the address if left out.
        on_message: is told, from another thread, when a camera is lost and when it is back.

    Raises:
        SourceError: nothing of that name, or it cannot be opened.
    """
    scheme, _, rest = address.partition("://")
    if not address:
        raise SourceError(f"the source is empty; give {KNOWN}")
    if address.isdecimal() or address.startswith("/dev/video") or scheme == "v4l2":
        device = address if scheme != "v4l2" else rest
        return _device(device, camera or safe_name(device), on_message)
    if scheme == "csi":
        return _csi(rest, camera, on_message)
    if "://" in address and scheme != "file":
        return _stream(address, scheme, camera, on_message)
    return _files(rest if scheme == "file" else address, camera)


def _device(device: str, camera: str, on_message: Callable[[str], None]) -> Source:
    named: int | str = int(device) if device.isdecimal() else device
    return LiveCamera(opencv_connector(named, cv2.CAP_V4L2), device, camera, on_message=on_message)


def _csi(sensor: str, camera: str | None, on_message: Callable[[str], None]) -> Source:
    if not sensor.isdecimal():
        raise SourceError(f"csi://{sensor} names no sensor; write csi://0 for the first one")
    if not re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()):
        raise SourceError(
            f"csi://{sensor} needs an OpenCV with GStreamer, which this one ({cv2.__version__}) lacks; on a Jetson "
            "uninstall opencv-python-headless, so that JetPack's own is used"
        )
    connect = opencv_connector(CSI.format(sensor), cv2.CAP_GSTREAMER)
    return LiveCamera(connect, f"csi://{sensor}", camera or f"csi{sensor}", on_message=on_message)


def _stream(
    address: str, scheme: str, camera: str | None, on_message: Callable[[str], None]
) -> Source:
    if scheme not in STREAMS:
        raise SourceError(
            f"{redact(address)} starts with {scheme}://, which is no known kind of source; give {KNOWN}"
        )
    shown = redact(address)
    place = shown.partition("://")[2].rpartition("@")[2].partition("?")[0]
    name = camera or safe_name(place)
    if scheme.startswith("http") and Path(place).suffix.lower() in VIDEO_SUFFIXES:
        return VideoFiles([address], shown, name)
    return LiveCamera(
        opencv_connector(address, cv2.CAP_FFMPEG, timeouts=True), shown, name, on_message=on_message
    )


def _files(address: str, camera: str | None) -> Source:
    path = Path(address).expanduser()
    if path.is_dir():
        found = sorted((entry for entry in path.iterdir() if entry.is_file()), key=natural_sort_key)
        return _mixed(found, address, camera)
    if path.is_file():
        return (
            ImageFiles([path], address, camera)
            if is_image(path)
            else VideoFiles([str(path)], address, camera)
        )
    if glob.has_magic(address):
        matches = sorted(map(Path, glob.glob(str(path), recursive=True)), key=natural_sort_key)  # noqa: PTH207  # as in a shell
        return _mixed([match for match in matches if match.is_file()], address, camera)
    raise SourceError(f"{redact(address)} does not exist; give {KNOWN}")


def _mixed(paths: Sequence[Path], name: str, camera: str | None) -> Source:
    pictures = [path for path in paths if is_image(path)]
    videos = [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES]
    if pictures and videos:
        raise SourceError(
            f"{name} holds both pictures and videos; name one kind with a glob such as '{name.rstrip('/')}/*.jpg'"
        )
    if not pictures and not videos:
        raise SourceError(f"{name} holds no picture or video; give {KNOWN}")
    return (
        ImageFiles(pictures, name, camera)
        if pictures
        else VideoFiles([str(path) for path in videos], name, camera)
    )
