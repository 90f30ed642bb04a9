"""The device side, free of torch: sources of frames, back ends, outputs and the frame log."""
