"""Whom we call and what came of it: owns every table, the command line and the web pages."""
