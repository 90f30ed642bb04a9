"""The parts of training methods: base classes, targets, views, pixel selection and plug-ins."""
