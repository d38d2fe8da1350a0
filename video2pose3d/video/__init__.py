"""Video files at both doors, through PyAV, streaming: upright RGB frames in, H.264 out."""

from video2pose3d.video.reading import Video
from video2pose3d.video.writing import VideoWriter

open_video = Video
write_video = VideoWriter

__all__ = ["Video", "VideoWriter", "open_video", "write_video"]
