"""Where a network looks, what it has learnt, and whether such a picture can be trusted."""
