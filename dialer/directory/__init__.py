"""Platforms that know accounts, numbers and groups, and let us set some up; they place no calls."""
