"""What every filesystem of ours is written by: blocks handed out, contents moved, limits asked."""
