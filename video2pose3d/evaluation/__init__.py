"""How good lifters and results are, each benchmark by its own protocol: one benchmark a file.

mocap: motion capture filmed by virtual cameras, ours; rigs: the same by several at once;
result: a poses.npz beside a known truth; h36m, mpi_inf_3dhp, humaneva: the tables of the papers.
"""
