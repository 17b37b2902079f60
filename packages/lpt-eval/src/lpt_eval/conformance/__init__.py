"""The same outputs through lmms-eval's stock scorers, the authors' and ours, and where they differ.

``golden`` has the outputs, ``stock`` lmms-eval's own functions, ``authors`` a re-statement of what the
authors' released scorer does, ``suite`` runs them all.
"""
