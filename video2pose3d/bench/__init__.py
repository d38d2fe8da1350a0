"""How fast this machine is: the whole program (`program`), the lifters alone (`lifters`)."""
