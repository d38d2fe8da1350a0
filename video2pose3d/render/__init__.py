"""Pictures of the results: the overlay on the video, and the 3D animation."""
