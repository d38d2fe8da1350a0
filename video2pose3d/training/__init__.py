"""Training the lifters: loop.train, pretraining.pretrain and publishing.publish.

Nothing is imported here, because simulated detectors (`data`) serve those who don't train as well.
"""
