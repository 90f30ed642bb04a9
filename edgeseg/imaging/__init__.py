"""Images and masks as arrays and as files: decoding, resizing, hashing and drawing.

The one implementation that devices and training share, so nothing here needs more than numpy and
OpenCV.
"""
