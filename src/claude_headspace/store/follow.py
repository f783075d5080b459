"""The follower, for programs that import it from where it used to be."""

from claude_headspace.store.follower import Follower as Follower
