"""Person detectors, one public file each."""
