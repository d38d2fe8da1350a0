"""Many videos.

`inputs` finds them, `work` does one after the other, `crew` hands them to several workers that may
die of one: `processes` of this machine, or `on_ray`, a cluster's.
"""
