"""A small visual world, its captions and questions, a student that looks at it, and a simulated teacher."""
