"""Where a network looks, what it has learnt, and whether such an image can be trusted."""
