"""How good networks and results are, each benchmark by its own protocol: one benchmark a file.

mocap: motion capture filmed by virtual cameras, ours; rigs: the same by several at once; relate:
the same before and after its 2D keypoints are mended; result: a poses.npz beside a known truth;
h36m, mpi_inf_3dhp, humaneva: the tables of the papers; relation: those of the 2D network's.
"""
