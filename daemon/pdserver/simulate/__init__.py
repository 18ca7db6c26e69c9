"""A fleet that is not there: many device sessions in few processes, each with its own key, its own prefix and the uplink's real
behaviour, to see what a server bears."""
