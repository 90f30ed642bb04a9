"""Opens a source by its address: `0`, `/dev/video0`, `csi://0`, `rtsp://`, file, folder or glob.

The addresses are those that users of NVIDIA's jetson-inference know.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeseg.errors import SourceError
from edgeseg.imaging.decoding.depth_range import DepthRange
from edgeseg.imaging.file_names import is_image, natural_sort_key
from edgeseg.imaging.opencv import cv2
from edgeseg.runtime.sources.base import Source
from edgeseg.runtime.sources.live_camera import LiveCamera, opencv_connector
from edgeseg.runtime.sources.recorded_files import VIDEO_SUFFIXES, ImageFiles, VideoFiles
from edgeseg.runtime.sources.source_names import redact, safe_name

STREAM_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtp", "udp", "tcp", "http", "https"})
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
    scheme, _, rest = address.partition("://")
    if not address:
        raise SourceError(f"the source is empty; give {KNOWN_ADDRESSES}")
    if address.isdecimal() or address.startswith("/dev/video") or scheme == "v4l2":
        device = rest if scheme == "v4l2" else address
        return _open_device(device, camera or safe_name(device), on_message)
    if scheme == "csi":
        return _open_csi(rest, camera, on_message)
    if "://" in address and scheme != "file":
        return _open_stream(address, scheme, camera, on_message)
    return _open_files(rest if scheme == "file" else address, camera, depth)


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
    address: str, scheme: str, camera: str | None, on_message: Callable[[str], None]
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
    if scheme.startswith("http") and Path(place).suffix.lower() in VIDEO_SUFFIXES:
        return VideoFiles([address], shown, name)  # a file on a server, of which no frame is lost
    connect = opencv_connector(address, cv2.CAP_FFMPEG, timeouts=True)
    return LiveCamera(connect, shown, name, on_message=on_message)


def _open_files(address: str, camera: str | None, depth: DepthRange | None) -> Source:
    path = Path(address).expanduser()
    if path.is_dir():
        entries = sorted(
            (entry for entry in path.iterdir() if entry.is_file()), key=natural_sort_key
        )
        return _open_image_or_video_files(entries, address, camera, depth, listed=[path])
    if path.is_file():
        if is_image(path):
            return ImageFiles([path], address, camera, depth)
        return VideoFiles([str(path)], address, camera)
    if glob.has_magic(address):
        names = glob.glob(str(path), recursive=True)  # noqa: PTH207  # as in a shell
        matches = [
            match for match in sorted(map(Path, names), key=natural_sort_key) if match.is_file()
        ]
        # "photos/**/*.jpg" walks through all of photos.
        walked = [Path(str(path).partition("**")[0] or ".")] if "**" in address else []
        return _open_image_or_video_files(matches, address, camera, depth, listed=walked)
    raise SourceError(f"{redact(address)} does not exist; give {KNOWN_ADDRESSES}")


def _open_image_or_video_files(
    paths: Sequence[Path],
    name: str,
    camera: str | None,
    depth: DepthRange | None,
    *,
    listed: Sequence[Path],
) -> Source:
    """Open files as one source; `listed` are the folders in which they were found."""
    images = [path for path in paths if is_image(path)]
    videos = [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES]
    if images and videos:
        raise SourceError(
            f"{name} holds both pictures and videos; "
            f"name one kind with a glob such as '{name.rstrip('/')}/*.jpg'"
        )
    if not images and not videos:
        raise SourceError(f"{name} holds no picture or video; give {KNOWN_ADDRESSES}")
    source = (
        ImageFiles(images, name, camera, depth)
        if images
        else VideoFiles([str(path) for path in videos], name, camera)
    )
    source.reads = [*source.reads, *listed]
    return source
