"""Pictures of the results: the overlay on the video, the 3D animation, the interactive page."""
