"""The simulated teacher: plays the asker and the expander for captions of the lab's own pictures."""
