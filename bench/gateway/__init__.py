"""What arenad costs as a gateway, beside others over the same upstream."""
