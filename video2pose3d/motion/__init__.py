"""After the lifter: place, scale, smoothness, ground and feet."""
