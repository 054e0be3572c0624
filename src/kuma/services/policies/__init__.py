"""What users ask about policies: which apply to a proxy, and what keeps them from having an effect.

Also the loop that tells collectors whether policies point at them.
"""
