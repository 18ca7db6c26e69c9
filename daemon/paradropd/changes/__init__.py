"""Everything that alters the device: look, plan, do; written down before, during and after."""
