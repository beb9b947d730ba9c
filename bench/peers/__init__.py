"""Other designs for the same task, written anew to be measured beside arenad."""
