"""Native TensorRT: engines that the device builds from a bundle's graph, keeps and runs."""
