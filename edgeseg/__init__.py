"""edgeseg: from footage and a few masks to a segmentation model that runs, watches and adapts on an
edge device.
"""

__version__ = "0.1.0"
