"""Commands and sessions as process trees: started, bounded, watched and ended."""
