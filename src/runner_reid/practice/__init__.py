"""Renders a running practice, seen by a fixed camera, together with its whole truth.

world    who takes part, what they look like, when and where they pass
body     how a body moves: joint angles and positions over the phase of a stride
figure   what a body looks like: flat shaded parts fixed to the moving bones
scenery  the track and what stands behind it, in daylight or under floodlights
camera   projection, light, exposure: parts become pixels
film     frame after frame into an H.264 file, and the truth tables

The same seed is the same practice (people, times, places) whatever the condition; another seed shares nobody.
"""

from runner_reid.practice.film import Truth, identities_text, mot_text, render_practice

__all__ = ["Truth", "identities_text", "mot_text", "render_practice"]
