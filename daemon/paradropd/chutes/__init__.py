"""The chutes of this device: what is wanted of them, how they are, and what keeps them so."""
