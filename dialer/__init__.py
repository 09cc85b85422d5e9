"""How a call is made: rules, phone numbers, and the PBXs we speak to. Knows no table and no queue."""
