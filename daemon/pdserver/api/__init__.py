"""What the server offers on the fabric: one module an area, every procedure declared with the permission it demands."""
