"""HTTP below those who speak with services: connections, answers within limits, when to ask again.

What a failure means is for those above to say: a farm's may be about a compose that was started.
"""
