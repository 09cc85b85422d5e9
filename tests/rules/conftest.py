"""A busy machine is no reason to fail: what is drawn has no deadline here."""

from hypothesis import settings

settings.register_profile("rules", deadline=None)
settings.load_profile("rules")
