"""Which frames calibrate, and how ranges are found."""
