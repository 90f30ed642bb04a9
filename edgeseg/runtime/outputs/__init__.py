"""Where predictions go: overlay video, folders of images, JSON lines and the frame log."""
