"""Third-party packages that must be tamed before they are imported: silent, offline, safe."""
