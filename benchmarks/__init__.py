"""What a payment costs: paysaga beside the same service as others would build it, measured on one machine."""
