"""Mock networks for `batch`, whose workers are processes of their own.

Every Python process imports this that has the folder on its PYTHONPATH, and gets them with
video2pose3d.networks. They die of a black clip and wait in a grey one.
"""

import importlib.util
import os
import signal
import sys
import time

NAME = "video2pose3d.networks"
BLACK, GREY = 0, 120


class Finder:
    def find_spec(self, name, path, target=None):
        if name != NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            module.Networks.load = load
            module.Choice.of = choose

        spec.loader.exec_module = exec_module
        return spec


def choose(options):
    import figures

    return figures.choose(options)


def load(options, choice=None):
    import figures

    class Detector(figures.Detector):
        def detect(self, images):
            grey = images[0][0, 0].mean()
            if abs(grey - BLACK) < 10:
                os.kill(os.getpid(), signal.SIGKILL)
            if abs(grey - GREY) < 10:
                print("in the grey clip", file=sys.stderr, flush=True)
                time.sleep(60)
            return super().detect(images)

    return figures.networks(detector=Detector())


sys.meta_path.insert(0, Finder())
