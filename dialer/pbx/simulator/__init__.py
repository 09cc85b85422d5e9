"""A simulated call centre that speaks VOIspeed's interface."""
