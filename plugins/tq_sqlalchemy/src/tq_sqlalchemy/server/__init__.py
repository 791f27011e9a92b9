"""A database server, as seen from one process: a few connections, lent to one operation at a time.

A server can be restarted, moved or cut off at any moment. So a connection is looked at before it is used, every
call ends at a deadline of this side, and what may be done twice is tried again on a new connection until the
operation's time is over. After a fork the child lets go of the parent's sockets without a word on them.

``driver`` is what a kind of server has to offer, ``session`` one connection, ``connections`` all of a process, and
``database`` runs operations on them.
"""
