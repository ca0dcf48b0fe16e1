"""Rewards of its own making, for what the policy does not know yet: ICM and RND."""
