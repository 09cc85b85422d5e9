"""What the states of an agent have in common, as far as several rules ask for it."""

AWAY = ("out", "paused")
ON_THE_LINE = ("parking", "parked")  # or about to be: a call of ours is on their phone, without a customer
FREE = ("ready", *ON_THE_LINE)
WORKING = (*ON_THE_LINE, "assigned", "talking")  # a call of ours is on the agent's phone
