"""The part of the server that runs inside the router's process: who may do what, who is there, which topics are wanted."""
