"""Remote control: what clients ask of worker nodes, and what a node does about it."""
