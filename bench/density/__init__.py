"""What an instance and a chunk cost, beside a floor and peers measured in the same run."""
