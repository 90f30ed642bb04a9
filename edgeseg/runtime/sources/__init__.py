"""Where frames come from: live cameras, and recorded images and videos."""
